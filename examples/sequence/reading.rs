//! How all commands read a sequence file.

use std::path::{Path, PathBuf};

use xenrt::sequence::{Folders, Mode, ReadOptions};

/// How a sequence file is read.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Reading {
    /// Accept what the original accepted, with warnings instead of errors
    #[arg(long)]
    compat: bool,
    /// Define a variable; it wins over the file's own definition
    #[arg(short = 'D', long = "define", value_name = "NAME=VALUE", value_parser = definition)]
    define: Vec<(String, String)>,
    /// Another folder in which included files are looked for, after that of the file
    #[arg(short = 'I', long = "include", value_name = "FOLDER")]
    include: Vec<PathBuf>,
}

impl Reading {
    /// The options for this file.
    pub(crate) fn options(&self, file: &Path) -> ReadOptions {
        let own = file.parent().filter(|folder| !folder.as_os_str().is_empty());
        let mut folders = Folders::new().with(own.unwrap_or(Path::new(".")));
        for folder in &self.include {
            folders = folders.with(folder);
        }
        ReadOptions::new()
            .mode(if self.compat { Mode::Compat } else { Mode::Strict })
            .variables(self.define.iter().cloned())
            .loader(folders)
    }
}

fn definition(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().replace(':', "/"), value.to_owned()))
        }
        _ => Err(String::from("expected NAME=VALUE")),
    }
}
