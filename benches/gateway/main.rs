//! What the service costs as a gateway, against a bare proxy in its place. `docs/benchmark.md` says how to read it.
//!
//! The provider, the proxy and the service are processes of their own, on loopback; this one drives them.

mod cases;
mod client;
mod cost;
mod load;
mod notes;
mod processes;
mod provider;
mod proxy;
mod service;
mod usage;

use std::process::ExitCode;
use std::time::Duration;

use cases::{Case, PATHS};
use client::Target;
use load::Load;
use processes::Process;
use service::Service;
use tokio::signal::unix::{SignalKind, signal};
use usage::Postgres;

/// How long a start may take. Under an emulator it takes a while.
const START: Duration = Duration::from_mins(2);

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments.as_slice() {
        ["provider"] => provider::serve().await,
        ["proxy", upstream] => proxy::serve(upstream).await,
        // `cargo bench` adds `--bench`. What else there is names the cases.
        others => {
            let wanted = others.iter().find(|argument| !argument.starts_with("--"));
            tokio::select! {
                outcome = measure(wanted.copied().unwrap_or_default()) => outcome,
                // The children end with what is dropped here.
                () = interrupted() => Err("interrupted".into()),
            }
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gateway: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn interrupted() {
    let Ok(mut termination) = signal(SignalKind::terminate()) else { return };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = termination.recv() => {}
    }
}

async fn measure(wanted: &str) -> Outcome<()> {
    let provider = Process::of_this_program(&["provider"])?;
    let proxy = Process::of_this_program(&["proxy", &provider.address])?;
    let postgres = Postgres::of_environment()?;
    let (service, _) = Service::start(&provider.address).await?;
    drop(service);
    // The second start finds its tables and its agents, as a deployment does.
    let (service, ready_after) = Service::start(&provider.address).await?;
    println!("start to ready: {:.0} ms", ready_after.as_secs_f64() * 1e3);
    let rolecall = Target::rolecall(&service.address, service::KEY);
    let bare = Target::bare(&proxy.address);
    println!("memory idle: {:.1} MB", usage::resident_megabytes(service.pid())?);

    for case in cases::CASES.iter().filter(|case| case.title.contains(wanted)) {
        compare(case, (&rolecall, service.pid()), (&bare, proxy.pid()), &postgres).await?;
    }
    for path in PATHS.iter().filter(|path| path.title.contains(wanted)) {
        chunks(path, (&rolecall, service.pid()), (&bare, proxy.pid())).await?;
    }
    let held = load::hold(&rolecall, &cases::HELD, 64).await?;
    println!("memory at 64 streams: {:.1} MB", usage::resident_megabytes(service.pid())?);
    held.finish().await?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    println!("memory after: {:.1} MB", usage::resident_megabytes(service.pid())?);
    let answered =
        postgres.while_stopped(load::run(&rolecall, &cases::CASES[0], Load::of(4, 100))).await?;
    println!("answered while PostgreSQL stands still: {} of 100", answered?.len());
    notes::print();
    Ok(())
}

/// Processor time of a request and times at several concurrencies, from the same minute.
async fn compare(
    case: &'static Case,
    (rolecall, service): (&Target, u32),
    (bare, proxy): (&Target, u32),
    postgres: &Postgres,
) -> Outcome<()> {
    println!("\n{}", case.title);
    for target in [bare, rolecall] {
        load::run(target, case, Load::of(4, case.requests / 8)).await?;
    }
    let load = Load::of(4, case.requests);
    let of_proxy = cost::measure(proxy, load::run(bare, case, load)).await? / case.requests;
    // What is written behind earlier answers is not this case's.
    postgres.settle().await;
    let database = postgres.usage()?;
    let of_service = cost::measure(service, load::run(rolecall, case, load)).await? / case.requests;
    postgres.settle().await;
    let of_database = postgres.usage()?.since(database) / case.requests;
    println!("  a request: {}", of_service.against(of_proxy));
    println!("  PostgreSQL CPU a request: {of_database}");
    for connections in [1, 16, 64] {
        let load = Load::of(connections, case.requests / 2);
        let (theirs, ours) =
            (load::run(bare, case, load).await?, load::run(rolecall, case, load).await?);
        println!("  at {connections:>2}: {}", ours.against(&theirs));
    }
    Ok(())
}

/// What a chunk costs: the difference between long streams and short ones.
async fn chunks(
    path: &'static cases::Path,
    (rolecall, service): (&Target, u32),
    (bare, proxy): (&Target, u32),
) -> Outcome<()> {
    println!("\n{}", path.title);
    let mut costs = Vec::new();
    for (target, pid) in [(bare, proxy), (rolecall, service)] {
        let mut of_streams = Vec::new();
        for case in [&path.short, &path.long] {
            load::run(target, case, Load::of(4, 8)).await?;
            let work = load::run(target, case, Load::of(4, case.requests));
            of_streams.push(cost::measure(pid, work).await? / case.requests);
        }
        costs.push((of_streams[1] - of_streams[0]) / cases::CHUNKS_BETWEEN);
    }
    println!("  a chunk: {}", costs[1].against(costs[0]));
    Ok(())
}
