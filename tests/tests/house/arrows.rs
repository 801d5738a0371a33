//! The allowed dependencies of packages: none upwards, none between functions, and `tracking` builds without the AWS SDK.

use std::{collections::BTreeSet, fs, process::Command};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package, TargetKind};

use super::{
    none, root,
    tidiness::{code, sources},
};

/// A package of ours: its folder, and the packages that it may use.
struct Room {
    folder: &'static str,
    package: &'static str,
    uses: &'static [&'static str],
    /// The further packages that its tests may use.
    uses_in_tests: &'static [&'static str],
}

const ROOMS: &[Room] = &[
    Room { folder: "shared/core", package: "tracking-core", uses: &[], uses_in_tests: &[] },
    Room { folder: "shared/engine", package: "tracking-engine", uses: &["tracking-core"], uses_in_tests: &[] },
    Room {
        folder: "shared/api",
        package: "tracking-http-api",
        uses: &["tracking-core", "tracking-engine"],
        uses_in_tests: &["tracking-embedded"],
    },
    Room {
        folder: "shared/embedded",
        package: "tracking-embedded",
        uses: &["tracking-core", "tracking-engine"],
        uses_in_tests: &[],
    },
    Room { folder: "shared/aws", package: "tracking-aws", uses: &["tracking-core", "tracking-engine"], uses_in_tests: &[] },
    Room { folder: "functions/ingest", package: "tracking-ingest", uses: &["tracking-aws"], uses_in_tests: &[] },
    Room { folder: "functions/matcher", package: "tracking-matcher", uses: &["tracking-aws"], uses_in_tests: &[] },
    Room { folder: "functions/delivery", package: "tracking-delivery", uses: &["tracking-aws"], uses_in_tests: &[] },
    Room { folder: "functions/api", package: "tracking-http", uses: &["tracking-aws", "tracking-http-api"], uses_in_tests: &[] },
    Room {
        folder: "functions/local",
        package: "tracking-local",
        uses: &["tracking-core", "tracking-embedded", "tracking-engine", "tracking-http-api"],
        uses_in_tests: &[],
    },
    Room {
        folder: "tests",
        package: "tracking-tests",
        uses: &["tracking-aws", "tracking-core", "tracking-embedded", "tracking-engine", "tracking-http-api", "tracking-local"],
        uses_in_tests: &[],
    },
];

/// Dependencies that would give the pure rules access to the world.
const IMPURE: &[&str] =
    &["axum", "futures-util", "getrandom", "hyper", "hyper-util", "rand", "reqwest", "rusqlite", "tokio", "tracing"];

/// Returns the workspace's packages and their declarations.
fn metadata() -> Metadata {
    let mut command = MetadataCommand::new();
    command.manifest_path(root().join("Cargo.toml")).no_deps().other_options(["--locked".to_owned()]);
    command.exec().expect("cargo describes the workspace")
}

fn members(metadata: &Metadata) -> Vec<(String, &Package)> {
    let root = &metadata.workspace_root;
    let folder = |package: &Package| {
        let folder = package.manifest_path.parent().and_then(|folder| folder.strip_prefix(root).ok());
        folder.expect("a member is below the workspace's root").to_string()
    };
    metadata.workspace_packages().into_iter().map(|package| (folder(package), package)).collect()
}

/// Returns the names of all packages that are built into this one on this platform.
fn tree(package: &str) -> BTreeSet<String> {
    let mut command = Command::new(env!("CARGO"));
    command.args(["tree", "--locked", "--package", package, "--edges", "normal,build", "--prefix", "none", "--format", "{p}"]);
    let output = command.current_dir(root()).output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8(output.stdout).expect("cargo writes UTF-8");
    tree.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

#[test]
fn every_package_has_a_room_and_uses_only_what_lies_below_it() {
    let metadata = metadata();
    let members = members(&metadata);
    let ours: BTreeSet<&str> = members.iter().map(|(_, package)| package.name.as_str()).collect();
    let mut faults = Vec::new();
    for (folder, package) in &members {
        let Some(room) = ROOMS.iter().find(|room| room.folder == folder && room.package == package.name.as_str()) else {
            faults.push(format!("{} in {folder} has no room: give it a row in ROOMS, and ARCHITECTURE.md one", package.name));
            continue;
        };
        for dependency in package.dependencies.iter().filter(|dependency| ours.contains(dependency.name.as_str())) {
            let in_tests =
                dependency.kind == DependencyKind::Development && room.uses_in_tests.contains(&dependency.name.as_str());
            if !room.uses.contains(&dependency.name.as_str()) && !in_tests {
                faults.push(format!("{} may not use {}: it may use {:?}", package.name, dependency.name, room.uses));
            }
        }
    }
    for room in ROOMS.iter().filter(|room| !ours.contains(room.package)) {
        faults.push(format!("{} is not there: take its row out of ROOMS", room.package));
    }
    none(&faults);
}

#[test]
fn core_is_built_of_nothing_that_touches_the_world() {
    let core = tree("tracking-core");
    assert!(core.contains("tracking-core") && core.contains("serde"), "the tree was read");
    none(
        &IMPURE.iter().filter(|name| core.contains(**name)).map(|name| format!("core is built with {name}")).collect::<Vec<_>>(),
    );
}

#[test]
fn core_does_nothing_but_reckon() {
    let impure = [
        "async fn",
        ".await",
        "std::env",
        "std::fs",
        "std::io",
        "std::process",
        "std::thread",
        "std::time::Instant",
        "SystemTime",
    ];
    let mut faults = Vec::new();
    for file in sources().iter().filter(|file| file.path.starts_with("shared/core/src/")) {
        let found = impure.iter().filter(|word| code(file).any(|(_, line)| line.contains(**word)));
        faults.extend(found.map(|word| format!("{}: {word} in core", file.path)));
    }
    none(&faults);
}

#[test]
fn the_local_binary_is_built_without_aws() {
    let local = tree("tracking-local");
    assert!(local.contains("tracking-engine") && local.contains("tokio"), "the tree was read");
    let aws =
        local.iter().filter(|name| name.starts_with("aws-sdk") || name.starts_with("aws-config") || *name == "tracking-aws");
    none(&aws.map(|name| format!("tracking-local is built with {name}")).collect::<Vec<_>>());
}

#[test]
fn one_tls_stack_is_built_in() {
    let local = tree("tracking-local");
    assert!(local.contains("rustls") && local.contains("aws-lc-rs"), "rustls on aws-lc-rs");
    let others = ["native-tls", "openssl", "openssl-sys", "ring"];
    none(&others.iter().filter(|name| local.contains(**name)).map(|name| format!("{name} is built in")).collect::<Vec<_>>());
}

#[test]
fn every_package_keeps_the_workspace_s_rules() {
    let metadata = metadata();
    let mut faults = Vec::new();
    for (folder, package) in members(&metadata) {
        let name = &package.name;
        let manifest = fs::read_to_string(&package.manifest_path).expect("a member's manifest can be read");
        let mut must = |holds: bool, what: &str| {
            if !holds {
                faults.push(format!("{name} in {folder}: {what}"));
            }
        };
        must(package.edition.as_str() == "2024", "its edition is not 2024");
        must(package.license.as_deref() == Some("Apache-2.0"), "its licence is not Apache-2.0");
        must(package.publish.as_deref() == Some(&[]), "it could be published");
        must(package.rust_version.is_some(), "it names no rust-version");
        must(package.description.is_some(), "it has no description");
        must(manifest.contains("\n[lints]\nworkspace = true"), "it does not take the workspace's lints");
        let plain = package
            .dependencies
            .iter()
            .all(|dependency| dependency.source.is_none() || manifest_inherits(&manifest, &dependency.name));
        must(plain, "a dependency's version is in its own manifest, not in the workspace's");
    }
    none(&faults);
}

/// Returns true if a dependency takes its version from the workspace.
fn manifest_inherits(manifest: &str, dependency: &str) -> bool {
    manifest.lines().any(|line| {
        let rest = line.strip_prefix(dependency).map(str::trim_start);
        rest.is_some_and(|rest| {
            rest.starts_with(".workspace = true") || (rest.starts_with('=') && rest.contains("workspace = true"))
        })
    })
}

#[test]
fn the_root_runs_the_one_binary() {
    let metadata = metadata();
    let binaries: Vec<String> = members(&metadata)
        .into_iter()
        .filter(|(folder, _)| folder == "functions/local")
        .flat_map(|(_, package)| package.targets.iter())
        .filter(|target| target.kind.contains(&TargetKind::Bin))
        .map(|target| target.name.clone())
        .collect();
    assert_eq!(binaries, ["tracking"]);
}
