//! The container image is built of the files that `Dockerfile` copies and `.dockerignore` lets in.

use std::path::Path;
use std::process::Command;

/// What the stage that builds copies out of the checkout.
fn copied() -> Vec<String> {
    let (build, _) =
        include_str!("../../Dockerfile").rsplit_once("\nFROM ").expect("there are two stages");
    let lines = build.lines().filter_map(|line| line.strip_prefix("COPY "));
    let names = lines.flat_map(|line| {
        let (names, _destination) = line.rsplit_once(' ').expect("there is a destination");
        names.split(' ')
    });
    names.map(str::to_owned).collect()
}

fn copy(root: &Path, name: &str, to: &Path) {
    for entry in walkdir::WalkDir::new(root.join(name)) {
        let entry = entry.expect("can be read");
        let place = to.join(entry.path().strip_prefix(root).expect("is below it"));
        if entry.file_type().is_dir() {
            std::fs::create_dir_all(place).expect("can be made");
        } else {
            std::fs::copy(entry.path(), place).expect("can be copied");
        }
    }
}

#[test]
fn all_that_cargo_needs_is_copied() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let let_in = include_str!("../../.dockerignore");
    let folder = tempfile::tempdir().expect("a folder can be made");
    for name in copied() {
        assert!(let_in.lines().any(|line| line == format!("!{name}")), "{name} is ignored");
        copy(root, &name, folder.path());
    }
    let loaded = Command::new(env!("CARGO"))
        .args(["fetch", "--locked", "--offline", "--target", "x86_64-unknown-linux-gnu"])
        .current_dir(folder.path())
        .output()
        .expect("cargo can be started");
    // Whether all packages are there for this target is the machine's concern; that the manifest is whole, ours.
    let said = String::from_utf8_lossy(&loaded.stderr);
    assert!(!said.contains("failed to parse manifest"), "{said}");
    assert!(folder.path().join("src/main.rs").is_file());
}
