//! What a caller was told is found afterwards, whatever has become of the service or its database meanwhile.

mod database_away;
mod deleted_texts;
mod full_disk;
mod journal;
mod killed;
mod load;
mod silence;
mod spending;

pub use killed::survive;

use load::Told;

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::support::{Caller, Deployment, Reply, Wire};

const WIRE: Wire = Wire(rolecall::provider::DialectName::Anthropic);

const CONFIGURATION: &str = "
providers:
  anthropic: {base_url: $VENDOR, api_key: a-key}
";

/// What the vendor says.
const ANSWER: [&str; 3] = ["Here ", "it ", "is."];

fn answer_at_once(deployment: &Deployment) {
    deployment.vendor.answers(|_| Reply::events(&WIRE.frames("m", &ANSWER)));
}

/// Waits until nothing waits for the database.
async fn settle(caller: &Caller) {
    for _ in 0..1_000 {
        let ready = caller.get("/readyz").await.body;
        if ready["runs_under_way"] == 0 && ready["records"]["waiting"] == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("records wait on");
}

/// The files of all journals in a data directory, in their order.
fn segments(data_dir: &Path) -> Vec<PathBuf> {
    let folders = std::fs::read_dir(data_dir.join("journal")).expect("is there");
    let files = folders.flat_map(|folder| {
        std::fs::read_dir(folder.expect("is read").path()).expect("is a folder")
    });
    let mut segments: Vec<PathBuf> = files
        .map(|file| file.expect("is read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "journal"))
        .collect();
    segments.sort();
    segments
}
