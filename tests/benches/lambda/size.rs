//! The sizes of the functions' packages.

use std::{fs, process::Command};

use tracking_tests::bootstraps::bootstrap;

/// Packs a file as a Lambda package, and prints its size.
const ZIP: &str = "
import io, sys, zipfile
packed = io.BytesIO()
with zipfile.ZipFile(packed, 'w', zipfile.ZIP_DEFLATED) as package:
    package.write(sys.argv[1], 'bootstrap')
print(len(packed.getvalue()))
";

/// Returns a function's size in megabytes, stripped and zipped.
pub(crate) fn of(function: &str) -> (f64, f64) {
    let binary = bootstrap(function);
    let stripped = fs::metadata(&binary).expect("it is built").len();
    let packed = Command::new("python3").args(["-c", ZIP]).arg(&binary).output().expect("Python can be run");
    let zipped: u64 = String::from_utf8_lossy(&packed.stdout).trim().parse().expect("it says a number");
    (megabytes(stripped), megabytes(zipped))
}

#[expect(clippy::cast_precision_loss, reason = "files are smaller than what a double counts exactly")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1_000_000.0
}
