//! The commands that the README shows.

use crate::fixture::{embedded, read, write};
use crate::program::run;
use crate::server::Server;

const README: &str = include_str!("../../../README.md");

#[test]
fn the_commands_of_the_readme_work_in_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::new(&embedded());
    let shown = README
        .lines()
        .filter_map(|line| line.strip_prefix("$ cargo xtask registry "));
    let mut ran = Vec::new();
    for command in shown {
        let (command, _comment) = command.split_once('#').unwrap_or((command, ""));
        let mut arguments = words(command);
        if arguments[0] == "pull" {
            arguments.extend(["--source".to_owned(), server.url()]);
            write(
                &folder.path().join("objects-old"),
                &read(&folder.path().join("objects")),
            );
        }
        run(folder.path(), &arguments).succeeds();
        ran.push(arguments.remove(0));
    }
    assert_eq!(ran, ["new", "check", "pull", "diff"]);
}

/// The words of a command line; those between quotes stay together.
fn words(command: &str) -> Vec<String> {
    let parts = command.split('"').enumerate();
    parts
        .flat_map(|(index, part)| match index % 2 {
            0 => part.split_whitespace().map(str::to_owned).collect(),
            _ => vec![part.to_owned()],
        })
        .collect()
}
