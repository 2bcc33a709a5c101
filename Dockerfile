# Two stages: the build, and an image that holds the service and nothing else.
FROM rust:1.95-slim-bookworm AS build
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev make \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY Cargo.toml Cargo.lock build.rs ./
COPY .cargo .cargo
COPY .sqlx .sqlx
COPY migrations migrations
# Not built, but named in the manifest.
COPY benches benches
COPY src src
RUN cargo build --release --locked --bin rolecall

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates curl \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /var/lib/rolecall --create-home rolecall
COPY --from=build /build/target/release/rolecall /usr/local/bin/rolecall
COPY agents /etc/rolecall/agents
USER rolecall
WORKDIR /var/lib/rolecall
ENV ROLECALL_LISTEN=0.0.0.0:8080 \
    ROLECALL_DATA_DIR=/var/lib/rolecall/data \
    ROLECALL_AGENTS_DIR=/etc/rolecall/agents \
    ROLECALL_LOG_FORMAT=json
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
    CMD ["curl", "--silent", "--fail", "--output", "/dev/null", "http://127.0.0.1:8080/readyz"]
ENTRYPOINT ["rolecall"]
CMD ["serve"]
