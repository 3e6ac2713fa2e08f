//! The captured client of the specifications: an `Ask` per line in, an `Answer` per line out.

use std::io::{BufRead as _, Write as _};

use mesh_tests::probe::{Answer, carry_out};

fn main() -> std::io::Result<()> {
    let mut held = Vec::new();
    for line in std::io::stdin().lock().lines() {
        let answer = match serde_json::from_str(&line?) {
            Ok(ask) => carry_out(ask, &mut held),
            Err(error) => Answer::Failed(error.to_string()),
        };
        let mut out = std::io::stdout().lock();
        writeln!(out, "{}", serde_json::to_string(&answer)?)?;
        out.flush()?;
    }
    Ok(())
}
