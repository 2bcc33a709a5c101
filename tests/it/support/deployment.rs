//! The service as a process of its own, over the database of a test, with a vendor to answer for the models.

use sqlx::{ConnectOptions, PgPool};

use super::files::shipped_agents;
use super::process::Service;
use super::vendor::FakeProvider;

pub struct Deployment {
    pub service: Service,
    pub vendor: FakeProvider,
    _files: tempfile::TempDir,
}

impl Deployment {
    /// Starts a service with a configuration; `$VENDOR` stands for the vendor's address.
    pub async fn start(pool: &PgPool, yaml: &str) -> Self {
        let vendor = FakeProvider::start().await;
        let files = tempfile::tempdir().expect("a temporary folder");
        let config = files.path().join("rolecall.yaml");
        std::fs::write(&config, yaml.replace("$VENDOR", &vendor.url)).expect("is written");
        let url = pool.connect_options().to_url_lossy().to_string();
        let config = config.to_str().expect("a plain path").to_owned();
        let environment = [("DATABASE_URL", url.as_str()), ("ROLECALL_CONFIG", &config)];
        let service = Service::start(files.path(), &shipped_agents(), &environment).await;
        Self { service, vendor, _files: files }
    }
}
