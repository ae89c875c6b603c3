//! The torture by many more seeds than the tests have time for:
//!
//! `cargo run --release -p engine --example torture -- --seeds N [--from S]`, or `--seed S` for one again; with
//! `--threads N` several threads work in each life, and the same seed may take another course.
#![allow(clippy::unwrap_used)]

#[path = "../tests/torture/mod.rs"]
mod torture;

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;
use torture::life::plain;
use torture::many::{Summary, many_of, one_of};
use torture::{life, threads};

const USAGE: &str = "torture [--threads N] --seeds N [--from S] | [--threads N] --seed S";

struct Args {
    from: u64,
    seeds: u64,
    one: Option<u64>,
    threads: u64,
}

fn args() -> Option<Args> {
    let mut args = Args { from: 0, seeds: 10_000, one: None, threads: 1 };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let number = words.next()?.parse().ok()?;
        match word.as_str() {
            "--seeds" => args.seeds = number,
            "--from" => args.from = number,
            "--seed" => args.one = Some(number),
            "--threads" => args.threads = number,
            _ => return None,
        }
    }
    Some(args)
}

fn say_progress(summary: &Summary, seeds: u64) {
    if summary.seeds.is_multiple_of(100) {
        eprint!("\r{} of {seeds} seeds, {} violations", summary.seeds, summary.wrong.len());
        std::io::stderr().flush().unwrap_or_default();
    }
}

fn main() -> ExitCode {
    let Some(args) = args() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let lives = |seed| match args.threads {
        0 | 1 => life::run(seed, plain),
        several => threads::run(seed, several as usize, plain),
    };
    if let Some(seed) = args.one {
        let (told, result) = one_of(seed, &lives);
        println!("seed {seed}: {told:?}");
        return result.map_or_else(
            |wrong| {
                println!("{wrong}");
                ExitCode::FAILURE
            },
            |()| ExitCode::SUCCESS,
        );
    }
    let progress = |summary: &Summary| say_progress(summary, args.seeds);
    let summary = many_of(args.from, args.seeds, Duration::MAX, &lives, &progress);
    println!("\n{}", summary.table());
    for (seed, wrong) in &summary.wrong {
        let threads = args.threads;
        println!(
            "{wrong}\n  again: cargo run --release -p engine --example torture -- --threads {threads} --seed {seed}"
        );
    }
    if summary.wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
