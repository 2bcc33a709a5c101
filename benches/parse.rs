//! How long the reading of a definition takes, by its size: the time for each byte must not grow with it.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rolecall::definition::{KnownWorld, Origin, lint, parse};

const KILOBYTES: [usize; 3] = [1, 10, 100];

/// Makes a file of about so many bytes.
type Write = fn(usize) -> String;

const EXAMPLE: &str = " <example>Context: A parcel is late. user: 'Where is parcel 4711?' assistant: 'I let \
    parcel-tracker look it up.' <commentary>Finding parcels is its work.</commentary></example>";

const BODY: &str = "You track parcels.\n\nYour responsibilities:\n- Find a parcel by its number\n- Say when it \
    arrives\n\nALWAYS use context7 first. Then ask the carrier, in this order: depot, van, door.\n\n\
    You do NOT handle:\n- Complaints (complaint-desk)\n\n## Steps\n\n1. Read the number.\n2. Look it up.\n\n";

/// A part, over and over, up to a number of bytes.
fn repeated(part: &str, size_bytes: usize) -> String {
    part.repeat(size_bytes.div_ceil(part.len()))
}

/// As most files are: a description with two examples, and a long body. `description` opens it.
fn long_body(description: &str, size_bytes: usize) -> String {
    let head = format!(
        "---\nname: parcel-tracker\ndescription: {description}\nmodel: sonnet\ntools: Read, Grep\n---\n"
    );
    let body = repeated(BODY, size_bytes.saturating_sub(head.len()));
    head + &body
}

/// Not valid YAML, because of the colons in the description.
fn scanned(size_bytes: usize) -> String {
    let examples = EXAMPLE.repeat(2);
    long_body(&format!("Use this agent for parcels. Examples:{examples}"), size_bytes)
}

fn strict(size_bytes: usize) -> String {
    let examples = EXAMPLE.repeat(2);
    long_body(&format!("\"Use this agent for parcels. Examples:{examples}\""), size_bytes)
}

/// Nearly all of the file is its description.
fn long_description(size_bytes: usize) -> String {
    let examples = repeated(EXAMPLE, size_bytes);
    format!(
        "---\nname: parcel-tracker\ndescription: Use for parcels: any.{examples}\n---\nTrack.\n"
    )
}

/// A description of many lines, none of them indented.
fn many_lines(size_bytes: usize) -> String {
    let lines = repeated("\nContext: A parcel is late.\nuser: 'Where is it?'\n", size_bytes);
    format!("---\nname: parcel-tracker\ndescription: Use for parcels: any.{lines}\n---\nTrack.\n")
}

/// Names more than a file should: servers, tools that are no more, fields that are none.
fn many_names(size_bytes: usize) -> String {
    let count = size_bytes / 100;
    let list = |entry: fn(usize) -> String| (0..count).map(entry).collect::<String>();
    let tools = list(|number| format!("mcp__server{number}__a, MultiEdit(src/{number}), "));
    let fields = list(|number| format!("max_turn{number}: 1\n"));
    let body = list(|number| format!("Use the Depot{number} MCP server. "));
    format!("---\nname: a\ndescription: Use for b\ntools: {tools}\n{fields}---\n{body}\n")
}

fn read(criterion: &mut Criterion) {
    let kinds: [(&str, Write); 5] = [
        ("scan", scanned),
        ("strict", strict),
        ("long_description", long_description),
        ("many_lines", many_lines),
        ("many_names", many_names),
    ];
    let known_world = KnownWorld::default();
    for (kind, write) in kinds {
        let mut group = criterion.benchmark_group(kind);
        for kilobytes in KILOBYTES {
            let text = write(kilobytes * 1024);
            let source = text.as_bytes();
            group.throughput(Throughput::Bytes(source.len() as u64));
            group.bench_with_input(
                BenchmarkId::new("parse", kilobytes),
                source,
                |bencher, source| {
                    bencher.iter(|| {
                        parse(black_box(source), &Origin::default()).expect("is an agent")
                    });
                },
            );
            let parsed = parse(source, &Origin::default()).expect("is an agent");
            group.bench_with_input(
                BenchmarkId::new("lint", kilobytes),
                source,
                |bencher, source| {
                    bencher.iter(|| lint(&parsed, black_box(source), &known_world));
                },
            );
        }
        group.finish();
    }
}

criterion_group!(benches, read);
criterion_main!(benches);
