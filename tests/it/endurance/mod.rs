//! The service as a process under many requests and faults: what it holds meanwhile, and what it still holds afterwards.
//!
//! Each test prints its figures. `make test` runs them after all others and one at a time: each wants the machine for
//! itself.

mod abandoned;
mod database_away;
mod killed;
mod slow_streams;
mod soak;

use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use sqlx::PgPool;

use crate::support::{Caller, Deployment, FakeProvider, Service};

/// Held by the test that runs.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// The service, its vendor, and its database.
struct Load {
    deployment: Deployment,
    pool: PgPool,
}

impl Load {
    async fn start(pool: PgPool, yaml: &str) -> Self {
        raise_file_limit();
        let deployment = Deployment::start(&pool, yaml).await;
        deployment.vendor.forgets();
        Self { deployment, pool }
    }

    fn service(&self) -> &Service {
        &self.deployment.service
    }

    fn vendor(&self) -> &FakeProvider {
        &self.deployment.vendor
    }

    fn caller(&self) -> &Caller {
        &self.deployment.service.caller
    }

    /// Waits until no run is under way and every record is written.
    async fn settle(&self) {
        for _ in 0..600 {
            let ready = self.caller().get("/readyz").await.body;
            let open = self.count("SELECT count(*) FROM runs WHERE ended_at IS NULL").await;
            if ready["runs_under_way"] == 0 && open == 0 {
                // Connections are closed behind the last answer, and memory is given back a little later.
                tokio::time::sleep(Duration::from_secs(12)).await;
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("runs do not settle");
    }

    /// The memory of the service, once it is no more than that; after half a minute, whatever it is then.
    async fn memory_returned_to(&self, most: u64) -> u64 {
        for _ in 0..30 {
            if self.service().memory_bytes() <= most {
                break;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        self.service().memory_bytes()
    }

    /// How many runs have each status.
    async fn statuses(&self) -> Vec<(String, usize)> {
        let rows: Vec<(String, i64)> =
            sqlx::query_as("SELECT status, count(*) FROM runs GROUP BY status ORDER BY status")
                .fetch_all(&self.pool)
                .await
                .expect("is read");
        rows.into_iter().map(|(status, count)| (status, unsigned(count))).collect()
    }

    /// A count that a query says.
    async fn count(&self, query: &'static str) -> usize {
        unsigned(sqlx::query_scalar(query).fetch_one(&self.pool).await.expect("is read"))
    }
}

/// Both ends of every connection but the service's own are in this process.
fn raise_file_limit() {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, most, most).expect("may be raised");
}

fn unsigned(count: i64) -> usize {
    usize::try_from(count).expect("a count")
}

fn megabytes(bytes: u64) -> u64 {
    bytes / (1024 * 1024)
}
