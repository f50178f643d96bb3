//! The device mapper of simulated control domains: loop devices, and disks that can be made to fail.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::commands::{Session, SimAnswer};

/// Where mapped disks are.
const FOLDER: &str = "/dev/mapper/";

/// What was mapped on one machine.
#[derive(Debug, Default)]
pub(super) struct Mapper {
    /// The files behind loop devices, by number.
    loops: BTreeMap<u32, String>,
    /// For each mapped disk its table, and the one that was loaded and is not in force yet.
    tables: BTreeMap<String, (String, Option<String>)>,
}

impl Mapper {
    /// Whether every request to the disk at `path` fails.
    pub(super) fn fails(&self, path: &str) -> bool {
        let table = path.strip_prefix(FOLDER).and_then(|name| self.tables.get(name));
        table.is_some_and(|(table, _)| table.split_whitespace().nth(2) == Some("error"))
    }
}

impl Session<'_> {
    /// `losetup` with `--find --show FILE` or `--detach DEVICE`; `None` for another use of it.
    pub(super) fn losetup(&self, words: &[&str]) -> Option<SimAnswer> {
        let known = |file: &str| self.read(file).is_some();
        match words {
            ["--find", "--show", file] if !known(file) => {
                let text = format!("losetup: {file}: No such file or directory\n");
                Some(SimAnswer::failure(1, text))
            }
            ["--find", "--show", file] => {
                let loops = &mut self.machine.state().mapper.loops;
                let number = (0..).find(|number| !loops.contains_key(number))?;
                loops.insert(number, (*file).to_owned());
                Some(SimAnswer::text(format!("/dev/loop{number}\n")))
            }
            ["--detach", device] => {
                let number = device.strip_prefix("/dev/loop").and_then(|text| text.parse().ok());
                let gone = self.machine.state().mapper.loops.remove(&number.unwrap_or(u32::MAX));
                Some(match gone {
                    Some(_) => SimAnswer::success(),
                    None => SimAnswer::failure(
                        1,
                        format!("losetup: {device}: detach failed: No such device\n"),
                    ),
                })
            }
            _ => None,
        }
    }

    /// `dmsetup` with `create`, `load`, `suspend`, `resume` and `remove`; `None` for another use of it.
    pub(super) fn dmsetup(&self, words: &[&str]) -> Option<SimAnswer> {
        let names: Vec<&str> =
            words.iter().skip(1).filter(|word| !word.starts_with("--")).copied().collect();
        let name = (*names.first()?).to_owned();
        let path = format!("{FOLDER}{name}");
        let mut state = self.machine.state();
        let there = state.mapper.tables.contains_key(&name);
        let verb = *words.first()?;
        if there == (verb == "create") {
            let why = if there { "Device or resource busy" } else { "No such device or address" };
            let text = format!("device-mapper: {verb} ioctl on {name} failed: {why}\n");
            return Some(SimAnswer::failure(1, text));
        }
        match (verb, names.get(1)) {
            ("create", Some(table)) => {
                state.mapper.tables.insert(name, ((*table).to_owned(), None));
                state.files.insert(path, Arc::from(Vec::new()));
            }
            ("load", Some(table)) => {
                if let Some((_, loaded)) = state.mapper.tables.get_mut(&name) {
                    *loaded = Some((*table).to_owned());
                }
            }
            ("suspend", None) => {}
            ("resume", None) => {
                if let Some((table, loaded)) = state.mapper.tables.get_mut(&name) {
                    *table = loaded.take().unwrap_or_else(|| table.clone());
                }
            }
            ("remove", None) => {
                state.mapper.tables.remove(&name);
                state.files.remove(&path);
                state.contents.remove(&path);
            }
            _ => return None,
        }
        Some(SimAnswer::success())
    }
}
