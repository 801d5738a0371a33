//! Third-party code is pinned: Python packages with hashes, exceptions from advisories with reasons, advisories checked or reported as not
//! checked.

use std::{collections::BTreeSet, fs, process::Command};

use super::{File, files, none, root};

/// Commands that install Python packages, as a shell reads them.
const INSTALLERS: &[&str] = &["pip install", "pip3 install", "pip download", "pip wheel"];
/// Commands that install Python packages and can't check them against hashes.
const INSTALLERS_WITHOUT_HASHES: &[&str] = &["pipx install", "pipx run", "easy_install", "uvx ", "uv tool "];
/// Commands that readers type, on machines of their own: file and command.
const TYPED_BY_READERS: &[(&str, &str)] = &[("docs/deploy-on-aws.md", "`pip install aws-sam-cli cargo-lambda`")];

/// Returns the faults of a file's installations of Python packages.
fn installs_without_hashes(file: &File) -> Vec<String> {
    let runs_pip = file.text.contains("\"pip\"");
    // A command that continues after a backslash is one line.
    let text = file.text.replace("\\\n", " ");
    let unpinned = |line: &&str| {
        let installs = INSTALLERS.iter().any(|command| line.contains(command)) || (runs_pip && line.contains("\"install\""));
        let typed = TYPED_BY_READERS.iter().any(|(path, command)| file.path == *path && line.contains(command));
        let never = INSTALLERS_WITHOUT_HASHES.iter().any(|command| line.contains(command));
        never || (installs && !typed && !line.contains("--require-hashes"))
    };
    text.lines().filter(unpinned).map(|line| format!("{}: no --require-hashes: {}", file.path, line.trim())).collect()
}

/// Returns the packages that a requirements file pins, or its first fault.
fn pinned(text: &str) -> Result<BTreeSet<String>, String> {
    let mut packages = BTreeSet::new();
    for requirement in text.replace("\\\n", " ").lines() {
        let fault = |what: &str| Err(format!("{what}: {requirement}"));
        let mut words = requirement.split_whitespace();
        let Some((name, version)) = words.next().and_then(|word| word.split_once("==")) else {
            return fault("expected NAME==VERSION");
        };
        let plain = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "._-+".contains(c));
        if name.is_empty() || !plain(name) || version.is_empty() || !plain(version) {
            return fault("expected NAME==VERSION");
        }
        // Hashes follow a marker such as `; sys_platform == 'win32'`.
        let hashes: Vec<&str> = words.skip_while(|word| !word.starts_with("--")).collect();
        let is_hash = |word: &&str| {
            let digits = word.strip_prefix("--hash=sha256:").unwrap_or_default();
            digits.len() == 64 && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
        };
        if hashes.is_empty() || !hashes.iter().all(is_hash) {
            return fault("expected --hash=sha256:… and nothing else behind the version");
        }
        if !packages.insert(name.to_owned()) {
            return fault("pinned twice");
        }
    }
    Ok(packages)
}

/// Returns the exceptions from advisories in `deny.toml` that give no reason.
fn exceptions_without_reason(text: &str) -> Vec<String> {
    let (_, list) = text.split_once("\nignore = [").expect("deny.toml lists exceptions from advisories");
    let (list, _) = list.split_once(']').expect("the list of exceptions ends");
    let entries = list.split('\n').map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    entries.filter(|entry| !entry.contains("reason = \"") || entry.contains("reason = \"\"")).map(str::to_owned).collect()
}

#[test]
fn f14_every_install_of_a_python_package_requires_hashes() {
    let files: Vec<File> = files().into_iter().filter(|file| !file.path.starts_with("tests/tests/house/")).collect();
    none(&files.iter().flat_map(installs_without_hashes).collect::<Vec<_>>());
    assert!(files.iter().any(|file| file.text.contains("--require-hashes")), "the tests' own installation was found");
}

#[test]
fn f14_an_install_without_hashes_is_found_in_shell_and_in_code() {
    let faults = |text: &str| installs_without_hashes(&File { path: "x".to_owned(), text: text.to_owned() }).len();
    assert_eq!(faults("python -m pip install sam"), 1);
    assert_eq!(faults("pip3 install \\\n  sam"), 1);
    assert_eq!(faults("uvx sam"), 1);
    assert_eq!(faults(".args([\"-m\", \"pip\"])\n.args([\"install\", \"sam\"])"), 1);
    assert_eq!(faults("pip install \\\n  --require-hashes -r sam.txt"), 0);
    assert_eq!(faults(".args([\"-m\", \"pip\"])\n.args([\"install\", \"--require-hashes\"])"), 0);
    assert_eq!(faults("cargo install \"x\""), 0);
}

#[test]
fn f14_every_python_package_is_pinned_by_the_hashes_of_its_files() {
    let mut faults = Vec::new();
    let tools: Vec<File> = files().into_iter().filter(|file| file.path.starts_with("tests/tools/")).collect();
    let text = |path: &str| tools.iter().find(|file| file.path == path).map(|file| file.text.as_str());
    let mut lists = 0;
    for file in &tools {
        if let Some(stem) = file.path.strip_suffix(".in") {
            let Some(list) = text(&format!("{stem}.txt")) else {
                faults.push(format!("{}: no list is made of it", file.path));
                continue;
            };
            lists += 1;
            let wanted = file.text.lines().filter(|line| !line.starts_with('#'));
            match pinned(list) {
                Ok(packages) => faults.extend(
                    wanted.filter(|name| !packages.contains(*name)).map(|name| format!("{stem}.txt does not pin {name}")),
                ),
                Err(fault) => faults.push(format!("{stem}.txt: {fault}")),
            }
        } else if let Some(stem) = file.path.strip_suffix(".txt")
            && text(&format!("{stem}.in")).is_none()
        {
            faults.push(format!("{}: nothing says what it is made of: write {stem}.in", file.path));
        }
    }
    assert_eq!(lists, 3, "the lists of sam, ministack and schemathesis");
    none(&faults);
}

#[test]
fn f14_a_list_is_refused_unless_all_of_it_has_hashes() {
    let hash = format!("--hash=sha256:{}", "a1".repeat(32));
    let accepted = pinned(&format!("a-b==1.0 \\\n    {hash} \\\n    {hash}\nc==2 ; sys_platform == 'win32' \\\n    {hash}\n"));
    assert_eq!(accepted, Ok(["a-b".to_owned(), "c".to_owned()].into()));
    for bad in ["a==1.0\n", "a>=1.0 HASH\n", "--index-url x\n", "a @ file:x HASH\n", "a==1 --hash=sha256:0\n", "# x\n"] {
        let bad = bad.replace("HASH", &hash);
        assert!(pinned(&bad).is_err(), "{bad}");
    }
}

#[test]
fn f14_an_exception_from_an_advisory_has_a_reason() {
    let text = fs::read_to_string(root().join("deny.toml")).expect("deny.toml can be read");
    none(&exceptions_without_reason(&text));
    let examples = "\nignore = [\n    { id = \"RUSTSEC-1\", reason = \"not reached\" },\n    \"RUSTSEC-2\",\n]\n";
    assert_eq!(exceptions_without_reason(examples), ["\"RUSTSEC-2\","]);
}

/// Runs the step of `.ci/run` over a cargo-deny that is a shell's `case` over its arguments, and returns its exit code and output.
fn advisories(seconds: &str, cases: &str) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let deny = folder.path().join("deny");
    fs::write(&deny, format!("case \"$*\" in\n{cases}\nesac\n")).expect("a script can be written");
    let mut step = Command::new("bash");
    step.arg(root().join(".ci/advisories")).args([seconds, "sh"]).arg(&deny);
    let done = step.output().expect("bash can be run");
    assert_eq!(String::from_utf8_lossy(&done.stderr), "");
    (done.status.code(), String::from_utf8(done.stdout).expect("the step writes UTF-8"))
}

#[test]
fn f14_advisories_that_could_not_be_fetched_are_said_to_be_unchecked() {
    let down = "*'fetch db') echo '2026-11-26 23:00:00 [ERROR] failed: [\"-C\"]'; echo 'fatal: no such host' >&2; exit 1;;";
    let not_checked = |reason: &str| format!("advisories: NOT CHECKED: the advisory database could not be fetched ({reason})\n");
    assert_eq!(advisories("60", down), (Some(0), not_checked("fatal: no such host")));
    let other = "*'fetch db') echo '2026-11-26 23:00:00 [ERROR] failed to spawn git'; echo more; exit 1;;";
    assert_eq!(advisories("60", other), (Some(0), not_checked("failed to spawn git")));
    // A process that hangs is ended, with its children.
    assert_eq!(advisories("1", "*'fetch db') sleep 600 & wait;;"), (Some(0), not_checked("it took longer than 1 s")));
}

#[test]
fn f14_an_advisory_or_a_faulty_configuration_fails_the_step() {
    assert_eq!(advisories("60", "*advisories) echo 'advisories ok';;"), (Some(0), "advisories ok\n".to_owned()));
    let found = "*advisories) echo 'advisories FAILED'; exit 4;;";
    assert_eq!(advisories("60", found), (Some(1), "advisories FAILED\n".to_owned()));
    let faulty = "*sources) echo 'failed to validate'; exit 1;;\n*'fetch db') echo 'failed to validate'; exit 1;;";
    assert_eq!(advisories("60", faulty), (Some(1), "failed to validate\n".to_owned()));
}
