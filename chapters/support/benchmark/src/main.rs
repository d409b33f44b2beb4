//! Measures the servers side by side.

mod client;
mod plot;
mod processes;
mod progress;
mod results;
mod sections;
mod servers;
mod table;
mod wrk;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context as _, anyhow, bail, ensure};
use cli::{say, unexpected, wrong};
use nix::sys::resource::{Resource, getrlimit};
use procfs::Current as _;
use progress::Progress;
use results::Results;
use sections::{Compare, Run, SECTIONS, Section, Settings, Show};
use servers::Programs;
use testkit::temp_dir;

const USAGE: &str = "\
Measures chapter 7 with its three ways of sharing, chapter 5, nginx, and Node's
cluster module side by side, with wrk. What is not installed is left out.

Usage: cargo run --release -p benchmark -- [--rounds 7] [--seconds 3]
                 [--workers 2] [--threads 1] [--connections 32]
                 [--only SECTION,…] [--out DIR]
       benchmark --from results.json [--only SECTION,…] [--out DIR]

  --rounds N        how often each server is measured, in turn
  --seconds N       how long wrk runs each time
  --workers N       workers of each server
  --threads N       wrk's threads
  --connections N   wrk's connections
  --only SECTIONS   keep-alive, close, keep-alive-threads, close-threads, kill,
                    spread, workers, connections, idle
  --out DIR         where tables, plots and results.json go (target/benchmark)
  --from FILE       measures nothing: tables and plots of an earlier run
  --help            show this

All of it takes about twenty minutes.
";

/// For wrk's 10,000 connections, and those of a server.
const DESCRIPTORS: u64 = 10_500;

fn main() -> ExitCode {
    cli::run(USAGE, |mut arguments| {
        let mut settings = Settings {
            rounds: 7,
            seconds: 3,
            workers: 2,
            threads: 1,
            connections: 32,
            script: PathBuf::new(),
        };
        let mut sections = SECTIONS.to_vec();
        let mut out = PathBuf::from("target/benchmark");
        let mut from = None;
        while let Some(word) = arguments.word()? {
            match &*word {
                "--rounds" => {
                    settings.rounds = arguments.number("--rounds", 1, 1000)?
                }
                "--seconds" => {
                    settings.seconds = arguments.number("--seconds", 1, 3600)?;
                }
                "--workers" => {
                    settings.workers = arguments.number("--workers", 1, 64)?;
                }
                "--threads" => {
                    settings.threads = arguments.number("--threads", 1, 64)?;
                }
                "--connections" => {
                    settings.connections =
                        arguments.number("--connections", 1, 1000)?;
                }
                "--only" => sections = chosen(&arguments.value()?)?,
                "--out" => out = PathBuf::from(arguments.value()?),
                "--from" => from = Some(PathBuf::from(arguments.value()?)),
                word => return Err(unexpected(word)),
            }
        }
        let results = match &from {
            Some(file) => read(file)?,
            None => measure(settings, &sections)?,
        };
        show_all(&sections, &results, &out)?;
        Ok(ExitCode::SUCCESS)
    })
}

/// The sections with these names, in the order in which they are measured.
fn chosen(names: &str) -> anyhow::Result<Vec<Section>> {
    let names: Vec<&str> = names.split(',').collect();
    let is_known = |name: &&&str| SECTIONS.iter().any(|it| it.name == **name);
    if let Some(name) = names.iter().find(|name| !is_known(name)) {
        return Err(wrong(format_args!("--only: there is no section '{name}'")));
    }
    let mut sections = SECTIONS.to_vec();
    sections.retain(|it| names.contains(&it.name));
    Ok(sections)
}

/// The results of an earlier run.
fn read(file: &Path) -> anyhow::Result<Results> {
    let text =
        fs::read(file).with_context(|| format!("read {}", file.display()))?;
    serde_json::from_slice(&text)
        .with_context(|| format!("parse {}", file.display()))
}

fn measure(
    mut settings: Settings,
    sections: &[Section],
) -> anyhow::Result<Results> {
    ensure!(
        installed("wrk").is_some(),
        "wrk is not installed: it is the client (Debian: apt-get install wrk)"
    );
    let (limit, _) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if limit < DESCRIPTORS {
        bail!(
            "{DESCRIPTORS} descriptors are needed, and the limit is {limit} (ulimit -Hn)"
        );
    }
    let programs = programs()?;
    let files = temp_dir();
    settings.script = files.write("report.lua", include_str!("report.lua"));

    let machine = machine(&settings, &programs)?;
    say(&machine);
    let results = Results { machine, samples: Vec::new() };
    let progress = Progress::new();
    let mut run =
        Run { settings: &settings, programs: &programs, results, progress };
    for section in sections {
        run.progress.section(section.title);
        (section.measure)(&mut run)
            .map_err(|error| anyhow!("{}: {error:#}", section.title))?;
    }
    run.progress.end();
    Ok(run.results)
}

/// Writes all results, and prints the tables.
fn show_all(
    sections: &[Section],
    results: &Results,
    out: &Path,
) -> anyhow::Result<()> {
    fs::create_dir_all(out).with_context(|| format!("make {}", out.display()))?;
    write(out, "machine.md", &results.machine)?;
    write(out, "results.json", &serde_json::to_string_pretty(results)?)?;
    let was_measured = |it: &&Section| !results.servers(it.name).is_empty();
    for section in sections.iter().filter(was_measured) {
        show(section, results, out)?;
    }
    say(format_args!(
        "\nThe tables, the plots and all values are in {}.",
        out.display()
    ));
    Ok(())
}

/// Writes a section's table or plots, and prints the table.
fn show(section: &Section, results: &Results, out: &Path) -> anyhow::Result<()> {
    let name = section.name;
    match section.show {
        Show::Table(figures, compare) => {
            let text = table::table(results, name, figures);
            write(out, &format!("{name}.md"), &text)?;
            say(format_args!("\n{}\n\n{text}", section.title));
            let bases: &[&str] = match compare {
                Compare::Others => &["nginx", "Node"],
                Compare::Nothing => &[],
            };
            for base in bases {
                let Some(text) = table::ratios(results, name, figures, base) else {
                    continue;
                };
                write(out, &format!("{name}-{}.md", base.to_lowercase()), &text)?;
                say(format_args!("\ndivided by {base}'s:\n\n{text}"));
            }
        }
        Show::Plots(plots) => {
            for plot in plots {
                let svg = plot::plot(results, *plot)?;
                write(out, &format!("{name}-{}.svg", plot.figure), &svg)?;
            }
        }
    }
    Ok(())
}

fn write(out: &Path, name: &str, text: &str) -> anyhow::Result<()> {
    let path = out.join(name);
    fs::write(&path, text).with_context(|| format!("write {}", path.display()))
}

/// Builds the chapters' programs, and finds the others.
fn programs() -> anyhow::Result<Programs> {
    let own = env::current_exe().context("find the benchmark's own program")?;
    let folder = own.parent().context("it is in no folder")?.to_owned();
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "-p", "ch05-restart", "-p", "ch07-cluster"]);
    // The folder has the name of the profile.
    if folder.ends_with("release") {
        build.arg("--release");
    } else {
        say("This is a debug build: its figures say little. See --help.");
    }
    let status = build.status().context("start cargo, to build the servers")?;
    ensure!(status.success(), "the servers cannot be built");
    Ok(Programs {
        ours: folder,
        nginx: installed("nginx"),
        node: installed("node"),
    })
}

/// A program of this name in `PATH`, or where Debian has programs for root.
fn installed(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    let folders = env::split_paths(&path).chain(more);
    folders.map(|it| it.join(name)).find(|it| it.is_file())
}

/// What was measured, and on what.
fn machine(settings: &Settings, programs: &Programs) -> anyhow::Result<String> {
    let cpu = procfs::CpuInfo::current()?;
    let model = cpu.model_name(0).unwrap_or("an unknown processor");
    let kernel = procfs::sys::kernel::Version::current()?;
    let mut text = format!(
        "{} × {model}, Linux {}.{}",
        cpu.num_cores(),
        kernel.major,
        kernel.minor
    );
    for (path, flag) in [(&programs.nginx, "-v"), (&programs.node, "--version")] {
        if let Some(version) = path.as_ref().and_then(|it| version(it, flag)) {
            text += &format!(", {version}");
        }
    }
    let Settings { rounds, seconds, workers, threads, connections, .. } = settings;
    text += &format!(
        "\n{workers} workers each; wrk: {threads} thread(s), {connections} connections; \
         {rounds} rounds of {seconds} s\n"
    );
    Ok(text)
}

/// What a program says of its version: nginx on standard error.
fn version(program: &Path, flag: &str) -> Option<String> {
    let output = Command::new(program).arg(flag).output().ok()?;
    let text = [output.stdout, output.stderr].concat();
    let line = String::from_utf8_lossy(&text).trim().to_owned();
    match line.strip_prefix("nginx version: ") {
        Some(version) => Some(version.to_owned()),
        None => Some(format!("Node {line}")),
    }
}
