//! Brings the console's bundle into the crate: a table of its files, each compressed with gzip.

use std::{
    env,
    error::Error,
    fmt::Write as _,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use flate2::{Compression, write::GzEncoder};

/// The bundle as its build leaves it; it is committed, so that a build of this crate needs no Node.
const BUNDLE: &str = "../../functions/console/dist";

#[expect(clippy::disallowed_methods, reason = "this is how Cargo speaks to a build script")]
fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={BUNDLE}");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let mut table = String::from("const FILES: &[File] = &[\n");
    for path in files(Path::new(BUNDLE))? {
        let name = path.strip_prefix(BUNDLE)?.to_str().ok_or("the bundle has a file whose name is no text")?.to_owned();
        let content = fs::read(&path)?;
        let compressed = format!("{}.gz", name.replace('/', "+"));
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&content)?;
        fs::write(out.join(&compressed), encoder.finish()?)?;
        writeln!(
            table,
            "    File {{ name: {name:?}, gzip: include_bytes!(concat!(env!(\"OUT_DIR\"), \"/\", {compressed:?})) }},"
        )?;
    }
    table.push_str("];\n");
    fs::write(out.join("console.rs"), table)?;
    Ok(())
}

/// Every file below a folder, in the order of their paths.
fn files(folder: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let entries = fs::read_dir(folder).map_err(|error| {
        format!("the console's bundle {BUNDLE} can't be read ({error}): npm run build in functions/console makes it")
    })?;
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.extend(files(&entry.path())?);
        } else {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}
