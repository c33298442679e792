//! A long run whose memory must not grow.

use std::fs;
use std::io::{BufRead, Read};
use std::time::{Duration, Instant};

use super::Row;
use super::runs::{Runs, drain, expect, first_line, send};
use crate::process::Result;

/// The growth of the process's memory that allocators cause, as a share and in bytes.
const NOISE: f64 = 1.02;
const NOISE_BYTES: f64 = 4.0 * MEBIBYTE;
const MEBIBYTE: f64 = 1_048_576.0;

pub fn train_for(runs: &Runs, time: Duration) -> Result<Row> {
    let out = runs.directory.join("memory");
    let mut arguments = runs.training(&out, "1000000000");
    arguments.extend(["--checkpoint-every", "100", "--val-every", "100"].map(str::to_owned));
    let mut child = runs.start(&arguments, &[])?;
    let (first, mut rest) = first_line(&mut child)?;
    let device_bytes = |line: &str| serde_json::from_str::<serde_json::Value>(line).ok().and_then(|line| line["peak_bytes"].as_u64());
    let device = device_bytes(&first).ok_or_else(|| format!("the run printed no step: {first}"))?;
    let (started, mut steps, mut host) = (Instant::now(), 1_u64, Vec::new());
    for line in rest.by_ref().lines() {
        let line = line.map_err(|error| error.to_string())?;
        expect(device_bytes(&line) == Some(device), || format!("the device's memory is no longer {device} bytes: {line}"))?;
        steps += 1;
        if steps.is_multiple_of(100) {
            host.extend(resident_bytes(child.id()));
        }
        if started.elapsed() > time {
            break;
        }
    }
    send(&child, "TERM")?;
    let reader = drain(rest);
    let ended = Runs::end(child)?;
    let _ = reader.join();
    expect(ended.status == Some(143), || format!("the run ended with {:?}: {}", ended.status, ended.stderr))?;
    let did = format!("{} min, {steps} steps, the device's memory constant at {device} bytes", started.elapsed().as_secs() / 60);
    if host.len() < 8 {
        return Ok(("flat memory".to_owned(), did + "; the host's was not measured"));
    }
    let (early, late) = (median(&host[host.len() / 4..host.len() / 2]), median(&host[3 * host.len() / 4..]));
    expect(late <= early * NOISE + NOISE_BYTES, || format!("the process grew from {early} to {late} bytes"))?;
    let mebibytes = |bytes: f64| bytes / MEBIBYTE;
    Ok(("flat memory".to_owned(), format!("{did}; the process's {:.1} MiB early and {:.1} MiB late", mebibytes(early), mebibytes(late))))
}

/// The bytes of a process in memory, on Linux.
fn resident_bytes(process: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().strip_suffix(" kB")?;
    Some(1024.0 * kilobytes.parse::<f64>().ok()?)
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}
