//! Lab files: real hosts, described in TOML.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use serde::Deserialize;

use super::{HostDemand, HostEntry, LabNote, LabProvider};
use crate::model::{Host, StorageSource, Toolstack};
use crate::{Error, Result};

/// A lab of real hosts.
///
/// ```
/// # use xenrt_core::lab::LabFile;
/// let lab = LabFile::parse(
///     r#"
///     [[host]]
///     name = "rack1-a"
///     address = "10.1.2.3"
///     key = "~/.ssh/lab"
///     toolstack = "xl"
///     gateway = "me@jump.example:2222"
///     attributes = { vendor = "AMD" }
///
///     [host.guest_network]
///     network = "xenbr0"
///     "#,
///     "lab.toml",
/// )
/// .unwrap();
/// assert_eq!(lab.hosts[0].port, 22);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabFile {
    /// The hosts, in the order of the file.
    #[serde(rename = "host", default)]
    pub hosts: Vec<HostEntry>,
}

impl LabFile {
    /// Reads a lab file. A path in it that is relative is relative to the file; `~` is the home
    /// folder.
    ///
    /// # Errors
    /// [`Error::Lab`] when it cannot be read, with line and column when it is not understood.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|error| Error::Lab {
            message: format!(
                "cannot read the lab file {}; write one (see \"Point it at a lab\" in the README), \
                 or leave --lab out to use the virtual lab",
                path.display()
            ),
            source: Some(Box::new(error)),
        })?;
        let mut lab = Self::parse(&text, &path.display().to_string())?;
        let folder = path.parent().unwrap_or(Path::new("."));
        for host in &mut lab.hosts {
            let images = host.images.iter_mut().map(|image| &mut image.key);
            for file in [&mut host.key, &mut host.known_hosts].into_iter().chain(images) {
                *file = file.take().map(|file| resolve(folder, file));
            }
            for storage in &mut host.storage {
                if let StorageSource::Smb { password_file, .. } = &mut storage.source {
                    *password_file = resolve(folder, std::mem::take(password_file));
                }
            }
        }
        Ok(lab)
    }

    /// Understands the text of a lab file; `name` is what errors call it.
    ///
    /// # Errors
    /// [`Error::Lab`] with line and column, for unknown keys, two hosts with one name and an empty
    /// lab as well.
    pub fn parse(text: &str, name: &str) -> Result<Self> {
        let lab: Self = toml::from_str(text).map_err(|error| Error::Lab {
            message: format!("the lab file {name} is not understood:\n{error}"),
            source: None,
        })?;
        if lab.hosts.is_empty() {
            return Err(Error::lab(format!("the lab file {name} has no [[host]]")));
        }
        for (index, host) in lab.hosts.iter().enumerate() {
            if lab.hosts[..index].iter().any(|earlier| earlier.name == host.name) {
                return Err(Error::lab(format!(
                    "the lab file {name} has two hosts with the name {:?}",
                    host.name
                )));
            }
        }
        Ok(lab)
    }
}

fn resolve(folder: &Path, file: PathBuf) -> PathBuf {
    match (file.strip_prefix("~"), std::env::var_os("HOME")) {
        (Ok(rest), Some(home)) => Path::new(&home).join(rest),
        _ => folder.join(file),
    }
}

/// Gives out the hosts of a lab file: the first host for the first demand, and so on. Hosts that
/// several runs use are given for demands that allow it alone, and before others.
#[derive(Debug)]
pub struct LabFileProvider {
    lab: LabFile,
    name: String,
    toolstacks: Vec<Arc<dyn Toolstack>>,
}

impl LabFileProvider {
    /// Hosts of `lab`, managed by one of `toolstacks`. `name` is what errors call the lab.
    pub fn new(lab: LabFile, name: impl Into<String>, toolstacks: Vec<Arc<dyn Toolstack>>) -> Self {
        Self { lab, name: name.into(), toolstacks }
    }

    fn choose(&self, demands: &[HostDemand]) -> Result<Vec<&HostEntry>> {
        let mut own = self.lab.hosts.iter().filter(|host| !host.shared);
        let mut shared = self.lab.hosts.iter().filter(|host| host.shared);
        let missing = || {
            let (all, of_run) = (demands.len(), self.machines().unwrap_or_default());
            let beside = demands.iter().filter(|demand| demand.shared).count();
            let beside = match beside {
                0 => String::new(),
                n => format!(", {n} of them may be shared with other runs (`shared = true`)"),
            };
            Error::lab(format!(
                "the run needs {all} hosts{beside}, and the {} has {of_run} besides {} that are \
                 shared",
                self.description(),
                self.lab.hosts.len() - of_run
            ))
        };
        // Whoever needs a host alone comes first, so that the others take what is left.
        let mut chosen: Vec<Option<&HostEntry>> =
            demands.iter().map(|demand| if demand.shared { None } else { own.next() }).collect();
        for (chosen, _) in chosen.iter_mut().zip(demands).filter(|(_, demand)| demand.shared) {
            *chosen = shared.next().or_else(|| own.next());
        }
        chosen.into_iter().collect::<Option<_>>().ok_or_else(missing)
    }

    fn toolstack(&self, entry: &HostEntry) -> Result<&Arc<dyn Toolstack>> {
        self.toolstacks.iter().find(|known| known.name() == entry.toolstack).ok_or_else(|| {
            Error::NotFound {
                kind: "toolstack",
                name: entry.toolstack.clone(),
                known: self.toolstacks.iter().map(|known| known.name().to_owned()).collect(),
            }
        })
    }
}

#[async_trait]
impl LabProvider for LabFileProvider {
    fn description(&self) -> String {
        format!("lab file {}", self.name)
    }

    fn machines(&self) -> Option<usize> {
        Some(self.lab.hosts.iter().filter(|host| !host.shared).count())
    }

    async fn acquire(
        &self,
        demands: &[HostDemand],
        note: &(dyn Fn(LabNote) + Send + Sync),
    ) -> Result<Vec<Arc<dyn Host>>> {
        let entries = self.choose(demands)?;
        let connections = entries.into_iter().map(|entry| async move {
            note(LabNote { message: format!("connecting to {}", entry.name), fraction: None });
            self.toolstack(entry)?.connect(entry).await
        });
        futures::future::try_join_all(connections).await
    }

    async fn collect_evidence(&self, _folder: &Path) -> Result<()> {
        // A lab file knows of no consoles or power switches; the hosts give their own evidence.
        Ok(())
    }

    async fn release(&self) -> Result<()> {
        Ok(())
    }

    async fn keep(&self) -> Result<String> {
        let logins = self.lab.hosts.iter().map(|host| format!("  ssh {}", host.ssh_target()));
        Ok(format!(
            "the hosts are as the run left them:\n{}",
            logins.collect::<Vec<_>>().join("\n")
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_place_and_the_words_that_are_known() {
        let text = "[[host]]\nname = \"a\"\naddress = \"h\"\ntoolstack = \"xl\"\nprot = 22\n";
        let error = LabFile::parse(text, "lab.toml").unwrap_err().to_string();
        assert!(
            error.contains("line 5") && error.contains("prot") && error.contains("port"),
            "{error}"
        );
    }

    #[test]
    fn empty_labs_and_twins_are_refused() {
        assert!(LabFile::parse("", "lab.toml").is_err());
        let host = "[[host]]\nname = \"a\"\naddress = \"h\"\ntoolstack = \"xl\"\n";
        assert!(LabFile::parse(&host.repeat(2), "lab.toml").is_err());
    }
}
