//! Writes the description of the API for the function as one line: made at build time it costs no code, no start-up time and few bytes.

use std::{env, error::Error, fs, path::Path};

use serde_json::Value;

/// The description as people read it; a test checks it against the code.
const WRITTEN: &str = "../../infra/openapi.json";

#[expect(clippy::disallowed_methods, reason = "this is how Cargo speaks to a build script")]
fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={WRITTEN}");
    let description: Value = serde_json::from_str(&fs::read_to_string(WRITTEN)?)?;
    fs::write(Path::new(&env::var("OUT_DIR")?).join("openapi.json"), description.to_string())?;
    Ok(())
}
