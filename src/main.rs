//! The program: arguments in, one call, an exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    kyc_tracker::cli::run()
}
