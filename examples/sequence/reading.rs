//! How all commands read a sequence file.

use std::path::{Path, PathBuf};

use miette::IntoDiagnostic;
use xenrt::sequence::{Folders, Mode, ReadOptions, Sequence};
use xenrt::sequencer::{RunOrigin, SequenceOrigin};

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

impl Reading {
    const COMPAT: &str = "compat";
    const INCLUDE: &str = "include";

    /// Reads a file, and notes what it takes to read it again. Says what it warns of.
    ///
    /// # Errors
    /// A file that cannot be read or is not right.
    pub(crate) fn read(&self, file: &Path, origin: &mut RunOrigin) -> miette::Result<Sequence> {
        let sequence = self.options(file).read(file).map_err(|error| error.into_report())?;
        let bytes = std::fs::read(file).into_diagnostic()?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        origin.sequence = Some(SequenceOrigin::new(Some(file), text));
        origin.variables = self.define.iter().cloned().collect();
        if self.compat {
            origin.settings.insert(Self::COMPAT.to_owned(), "yes".to_owned());
        }
        // Beside the file come those that it was found with, which a copy elsewhere needs too.
        let own = std::path::absolute(file).into_diagnostic()?;
        let own = own.parent().map(Path::to_owned);
        for (at, folder) in self.include.iter().cloned().chain(own).enumerate() {
            let folder = std::path::absolute(&folder).unwrap_or(folder);
            let name = format!("{}-{at}", Self::INCLUDE);
            origin.settings.insert(name, folder.display().to_string());
        }
        Ok(sequence)
    }

    /// As the run whose origin this is did it.
    fn of(origin: &RunOrigin) -> Self {
        let settings = origin.settings.iter();
        let include = settings.filter(|(name, _)| name.starts_with(Self::INCLUDE));
        Self {
            compat: origin.settings.contains_key(Self::COMPAT),
            define: origin.variables.clone().into_iter().collect(),
            include: include.map(|(_, folder)| folder.into()).collect(),
        }
    }
}

/// Reads a file as the run whose origin this is did it.
pub(crate) fn read_again(file: &Path, origin: &RunOrigin) -> miette::Result<Sequence> {
    let options = Reading::of(origin).options(file);
    Ok(options.read(file).map_err(|error| error.into_report())?)
}

fn definition(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().replace(':', "/"), value.to_owned()))
        }
        _ => Err(String::from("expected NAME=VALUE")),
    }
}
