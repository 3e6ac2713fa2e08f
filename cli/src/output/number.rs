//! Numbers as people read them: rates, shares, times, sizes.

use std::time::Duration;

/// What a cell shows where there is nothing to show.
pub(crate) const NO_DATA: &str = "-";

pub(crate) fn rate(per_second: f64) -> String {
    match per_second {
        rate if rate <= 0.0 => NO_DATA.to_owned(),
        rate if rate < 10_000.0 => format!("{rate:.1}"),
        rate => format!("{rate:.0}"),
    }
}

pub(crate) fn share(share: Option<f64>) -> String {
    share.map_or_else(|| NO_DATA.to_owned(), |share| format!("{:.2}%", share * 100.0))
}

pub(crate) fn milliseconds(ms: Option<f64>) -> String {
    match ms {
        None => NO_DATA.to_owned(),
        Some(ms) if ms < 10.0 => format!("{ms:.1}ms"),
        Some(ms) if ms < 10_000.0 => format!("{ms:.0}ms"),
        Some(ms) => format!("{:.1}s", ms / 1000.0),
    }
}

pub(crate) fn bytes(count: f64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if count < 1000.0 {
        return format!("{count:.0} B");
    }
    let mut scaled = count / 1000.0;
    for unit in UNITS {
        if scaled < 1000.0 || unit == "TB" {
            let digits = usize::from(scaled < 10.0);
            return format!("{scaled:.digits$} {unit}");
        }
        scaled /= 1000.0;
    }
    NO_DATA.to_owned()
}

pub(crate) fn bytes_per_second(count: f64) -> String {
    if count < 0.5 { NO_DATA.to_owned() } else { bytes(count) }
}

/// "4s", "6m", "3h", "2d": how long ago, coarse.
pub(crate) fn age(age: Duration) -> String {
    match age.as_secs() {
        seconds @ 0..60 => format!("{seconds}s"),
        seconds @ 60..3600 => format!("{}m", seconds / 60),
        seconds @ 3600..86400 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86400),
    }
}

/// "9ms", "1.8s": how long something took.
pub(crate) fn elapsed(elapsed: Duration) -> String {
    match elapsed.as_millis() {
        0 => "<1ms".to_owned(),
        ms @ 1..1000 => format!("{ms}ms"),
        _ => format!("{:.1}s", elapsed.as_secs_f64()),
    }
}

/// "0.3 ms": a step of a trace.
pub(crate) fn step(micros: u64) -> String {
    match Duration::from_micros(micros).as_secs_f64() * 1000.0 {
        ms if ms < 10_000.0 => format!("{ms:.1} ms"),
        ms => format!("{:.1} s", ms / 1000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_like_the_contract() {
        assert_eq!(rate(121.44), "121.4");
        assert_eq!(rate(0.0), "-");
        assert_eq!(share(Some(0.999)), "99.90%");
        assert_eq!(milliseconds(Some(48.2)), "48ms");
        assert_eq!(bytes(1_834.0), "1.8 kB");
        assert_eq!(bytes(188_000.0), "188 kB");
        assert_eq!(age(Duration::from_secs(360)), "6m");
        assert_eq!(elapsed(Duration::from_millis(1800)), "1.8s");
        assert_eq!(step(48_600), "48.6 ms");
    }
}
