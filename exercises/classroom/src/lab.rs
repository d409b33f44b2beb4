//! `classroom lab`: the program of an exercise, in the lab.

use std::{
    collections::HashMap, convert::Infallible, fs, os::unix::process::CommandExt,
    path::Path, process::Command,
};

use anyhow::{Context as _, bail};
use cli::say;

use crate::check::{BUILD_LIMIT, cargo, finish, json_lines};
use crate::course::{Course, Exercise};

/// Builds the program of an exercise, and becomes the lab with it. Without arguments, it is
/// run as its README says.
///
/// # Errors
/// It does not compile, has no program, or cannot be started.
pub fn run(
    course: &Course,
    exercise: &Exercise,
    arguments: &[String],
) -> anyhow::Result<Infallible> {
    let name = &exercise.name;
    let readme = course.folder(exercise).join("README.md");
    let readme = fs::read_to_string(&readme)
        .with_context(|| format!("cannot read {}", readme.display()))?;
    let by_hand = ByHand::find(&readme)
        .with_context(|| format!("the README of {name} does not run it"))?;
    say(format_args!("builds {name} and the lab …"));
    let package = &by_hand.package;
    let programs = build(&course.root, &[name, package, "lab"])?;
    let [Some(program), Some(lab)] = [package, "lab"].map(|it| programs.get(it))
    else {
        bail!("cargo has built no program {package}");
    };
    let mut command = if arguments.is_empty() {
        say(format_args!("$ {}", by_hand.line(&format!("lab -- {package}"))));
        let mut command = Command::new("bash");
        command.arg("-c").arg(by_hand.line(&format!("'{lab}' -- '{program}'")));
        command
    } else {
        let mut command = Command::new(lab);
        command.arg("--").arg(program).args(arguments);
        command
    };
    let error = command.current_dir(&course.root).exec();
    Err(error).context("cannot start the lab")
}

/// The first command of a README that runs a program with cargo.
#[derive(Debug, PartialEq)]
struct ByHand {
    /// What stands before `cargo run`.
    before: String,
    package: String,
    /// What follows the package, without `--`.
    behind: String,
}

impl ByHand {
    fn find(readme: &str) -> Option<ByHand> {
        commands(readme).iter().find_map(|command| {
            let (before, rest) = command.split_once("cargo run ")?;
            let rest = rest.trim_start_matches("-q ").strip_prefix("-p ")?;
            let (package, behind) = rest.split_once(' ').unwrap_or((rest, ""));
            let behind = behind.strip_prefix("-- ").unwrap_or(behind);
            let [before, package, behind] =
                [before, package, behind].map(str::to_owned);
            Some(ByHand { before, package, behind })
        })
    }

    /// The command, with something else in place of cargo.
    fn line(&self, program: &str) -> String {
        let ByHand { before, behind, .. } = self;
        format!("{before}{program} {behind}").trim_end().to_owned()
    }
}

/// How to see what the processes of an exercise do.
pub fn hint(exercise: &Exercise) -> String {
    let number = exercise.number();
    format!("See what its processes do: cargo run -p classroom -- lab {number}")
}

/// What a README types after `$`. A command may have several lines.
fn commands(readme: &str) -> Vec<String> {
    let mut commands: Vec<String> = Vec::new();
    let mut goes_on = false;
    for line in readme.lines() {
        match (line.strip_prefix("$ "), commands.last_mut()) {
            (Some(command), _) => commands.push(command.to_owned()),
            (None, Some(command)) if goes_on => {
                command.push('\n');
                command.push_str(line);
            }
            _ => {}
        }
        goes_on = line.ends_with('\\') && !commands.is_empty();
    }
    commands
}

/// The paths of the programs, by name.
fn build(
    root: &Path,
    packages: &[&str],
) -> anyhow::Result<HashMap<String, String>> {
    let packages = packages.iter().flat_map(|it| ["--package", it]);
    let cargo = cargo()
        .args(["build", "--quiet", "--message-format", "json-render-diagnostics"])
        .args(packages)
        .cwd(root);
    let (status, cargo) = finish(cargo, BUILD_LIMIT);
    if !status.is_some_and(|it| it.success()) {
        bail!("{}", cargo.stderr().trim_end());
    }
    let text = cargo.stdout();
    let programs = json_lines(&text).filter_map(|message| {
        let path = message["executable"].as_str()?;
        Some((message["target"]["name"].as_str()?.to_owned(), path.to_owned()))
    });
    Ok(programs.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_command_of_the_readme_that_runs_cargo_is_found() {
        let readme = "text\n$ ls\n$ printf 'a' \\\n  'b' | cargo run -q -p ex01-a -- x\nout\n\
                      $ cargo run -p ex01-a\n";
        let by_hand = ByHand::find(readme).expect("two commands");
        assert_eq!(by_hand.package, "ex01-a");
        assert_eq!(by_hand.line("lab"), "printf 'a' \\\n  'b' | lab x");
        let short = ByHand::find("$ cargo run -p ex01-a").expect("a command");
        assert_eq!((&*short.package, &*short.line("lab")), ("ex01-a", "lab"));
        assert_eq!(ByHand::find("cargo run -p ex01-a"), None);
    }
}
