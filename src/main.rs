//! The `rolecall` program: one verb an invocation.

mod cli;

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    if words.next().is_some_and(|verb| verb == rolecall::tools::GUARD_VERB) {
        // Before all else: this process is to be small.
        return rolecall::tools::guard(words);
    }
    // One provider of cryptography for every TLS connection, chosen before the first is made.
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        eprintln!("rolecall: a TLS provider was installed before");
        return ExitCode::FAILURE;
    }
    match cli::run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("rolecall: {}", rolecall::telemetry::causes(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}
