//! The service as a process of its own, over the database of a test, with a vendor to answer for the models.

use std::path::{Path, PathBuf};

use sqlx::{ConnectOptions, PgPool};

use super::files::shipped_agents;
use super::process::Service;
use super::vendor::FakeProvider;

pub struct Deployment {
    pub service: Service,
    pub vendor: FakeProvider,
    database_url: String,
    config: PathBuf,
    files: tempfile::TempDir,
}

impl Deployment {
    /// Starts a service with a configuration; `$VENDOR` stands for the vendor's address.
    pub async fn start(pool: &PgPool, yaml: &str) -> Self {
        Self::start_at(pool.connect_options().to_url_lossy().as_str(), yaml).await
    }

    /// The same over the database of this URL.
    pub async fn start_at(database_url: &str, yaml: &str) -> Self {
        Self::start_as(database_url, yaml, None).await
    }

    /// The same where no file can become larger than some kilobytes.
    pub async fn start_on_small_disk(pool: &PgPool, yaml: &str, kilobytes: u32) -> Self {
        let database_url = pool.connect_options().to_url_lossy();
        Self::start_as(database_url.as_str(), yaml, Some(kilobytes)).await
    }

    async fn start_as(database_url: &str, yaml: &str, kilobytes: Option<u32>) -> Self {
        let vendor = FakeProvider::start().await;
        let files = tempfile::tempdir().expect("a temporary folder");
        let config = files.path().join("rolecall.yaml");
        std::fs::write(&config, yaml.replace("$VENDOR", &vendor.url)).expect("is written");
        let service = start(files.path(), database_url, &config, kilobytes).await;
        Self { service, vendor, database_url: database_url.to_owned(), config, files }
    }

    /// Kills the service if it lives, and starts it anew with what it has left.
    pub async fn start_again(&mut self) {
        self.service.kill();
        self.service = self.start_another().await;
    }

    /// Starts another service with the same data directory.
    pub async fn start_another(&self) -> Service {
        start(self.files.path(), &self.database_url, &self.config, None).await
    }

    pub fn data_dir(&self) -> &Path {
        self.files.path()
    }
}

async fn start(
    data_dir: &Path,
    database_url: &str,
    config: &Path,
    kilobytes: Option<u32>,
) -> Service {
    let config = config.to_str().expect("a plain path");
    let environment = [("DATABASE_URL", database_url), ("ROLECALL_CONFIG", config)];
    let agents = shipped_agents();
    match kilobytes {
        Some(most) => Service::start_on_small_disk(most, data_dir, &agents, &environment).await,
        None => Service::start(data_dir, &agents, &environment).await,
    }
}
