//! Places to run in that need no lab file, by name.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use miette::{IntoDiagnostic, Report};
use xenrt::lab::{LabFile, LabFileProvider, LabProvider};
use xenrt::sim::SimLab;
use xenrt::virtual_lab::{Lifetime, Missing, VirtualLabProvider};

use crate::{PlaceArgs, toolstacks};

/// A place with hosts: a toolstack on what this machine can have, or a host of a lab file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// `xl`: Xen hosts of the virtual lab.
    Xl,
    /// `libvirt-xen`: Xen hosts of the virtual lab, managed by libvirt.
    LibvirtXen,
    /// `libvirt-qemu`: libvirt with QEMU on this machine, closed off from the rest of it.
    LibvirtQemu,
    /// `libvirt-test`: libvirt's own driver for tests, in memory (`test:///default`).
    LibvirtTest,
    /// `sim`: simulated hosts, in memory.
    Sim,
    /// A host of the lab file, by its name.
    LabHost(String),
    /// All hosts of the lab file.
    LabFile,
}

impl Place {
    /// Those that have a name of their own.
    pub const NAMED: [(&str, Self); 5] = [
        ("xl", Self::Xl),
        ("libvirt-xen", Self::LibvirtXen),
        ("libvirt-qemu", Self::LibvirtQemu),
        ("libvirt-test", Self::LibvirtTest),
        ("sim", Self::Sim),
    ];

    /// Whether it can be used by the toolstacks that this program was built with.
    fn needs_libvirt(&self) -> bool {
        matches!(self, Self::LibvirtXen | Self::LibvirtQemu | Self::LibvirtTest)
    }
}

/// Its name, as `--on` takes it.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LabHost(name) => f.write_str(name),
            Self::LabFile => f.write_str("the lab file"),
            own => {
                let named = Self::NAMED.iter().find(|(_, place)| place == own);
                f.write_str(named.map_or("", |(name, _)| name))
            }
        }
    }
}

impl PlaceArgs {
    /// Where to run: what `--on` names, else the lab file, else the virtual lab.
    ///
    /// # Errors
    /// A name that is neither a place nor a host of the lab file, and a lab file that cannot be
    /// read.
    pub fn places(&self) -> miette::Result<Vec<Place>> {
        let hosts = self.lab_file()?.map(|lab| lab.hosts).unwrap_or_default();
        if self.on.is_empty() {
            return Ok(vec![if self.lab.is_some() { Place::LabFile } else { Place::Xl }]);
        }
        let place = |name: &String| {
            if hosts.iter().any(|host| host.name == *name) {
                return Ok(Place::LabHost(name.clone()));
            }
            let named = Place::NAMED.into_iter().find(|(own, _)| own == name);
            named.map(|(_, place)| place).ok_or_else(|| {
                let own = Place::NAMED.iter().map(|(name, _)| (*name).to_owned());
                let known: Vec<String> =
                    own.chain(hosts.iter().map(|host| host.name.clone())).collect();
                miette::miette!(
                    help = "hosts of your own are named by `--lab FILE --on NAME`",
                    "there is no place {name:?} to run on; there are {}",
                    known.join(", ")
                )
            })
        };
        let places: Vec<Place> = self.on.iter().map(place).collect::<miette::Result<_>>()?;
        if let Some(twice) = (1..places.len()).find(|&at| places[..at].contains(&places[at])) {
            return Err(miette::miette!("--on names {} twice", places[twice]));
        }
        if let Some(place) = places.iter().find(|place| place.needs_libvirt())
            && cfg!(not(feature = "libvirt"))
        {
            return Err(miette::miette!(
                help = "install libvirt-dev and pkg-config, and run it as `cargo run --features \
                        libvirt --example ...`",
                "{place} needs libvirt, and this program was built without it"
            ));
        }
        Ok(places)
    }

    fn lab_file(&self) -> miette::Result<Option<LabFile>> {
        self.lab.as_ref().map(|path| LabFile::read(path).into_diagnostic()).transpose()
    }

    /// Who gives the hosts of a place. Those of a lab that may be kept outlive the program.
    ///
    /// # Errors
    /// A lab file that cannot be read.
    pub fn provider_of(
        &self,
        place: &Place,
        may_be_kept: bool,
    ) -> miette::Result<Arc<dyn LabProvider>> {
        let missing = if self.no_install { Missing::Refuse } else { Missing::Install };
        let lifetime = if may_be_kept { Lifetime::MayBeKept } else { Lifetime::Run };
        let virtual_lab = || {
            let lab = VirtualLabProvider::new().missing(missing).lifetime(lifetime);
            self.cache.iter().fold(lab, VirtualLabProvider::cache)
        };
        Ok(match place {
            Place::Xl => Arc::new(virtual_lab()),
            Place::Sim => Arc::new(SimLab::new()),
            Place::LabFile | Place::LabHost(_) => {
                let mut lab =
                    self.lab_file()?.ok_or_else(|| Report::msg("there is no lab file"))?;
                if let Place::LabHost(name) = place {
                    lab.hosts.retain(|host| host.name == *name);
                }
                let name = self.lab.as_deref().unwrap_or(Path::new("")).display().to_string();
                Arc::new(LabFileProvider::new(lab, name, toolstacks()))
            }
            #[cfg(feature = "libvirt")]
            Place::LibvirtXen => {
                Arc::new(virtual_lab().manager(xenrt::virtual_lab::Manager::Libvirt))
            }
            #[cfg(feature = "libvirt")]
            Place::LibvirtQemu => {
                let lab = xenrt::local_libvirt::LocalLibvirtProvider::new().missing(missing);
                let cache = self.cache.iter();
                Arc::new(cache.fold(lab, xenrt::local_libvirt::LocalLibvirtProvider::cache))
            }
            #[cfg(feature = "libvirt")]
            Place::LibvirtTest => {
                let mut lab = LabFile::parse(LIBVIRT_TEST, "libvirt-test").into_diagnostic()?;
                let cache = self.cache.clone().unwrap_or_else(xenrt_lab::default_cache_dir);
                for host in &mut lab.hosts {
                    host.work_folder = cache.join("libvirt-test").display().to_string();
                }
                Arc::new(LabFileProvider::new(lab, "libvirt-test", toolstacks()))
            }
            // `places` has refused it before.
            #[cfg(not(feature = "libvirt"))]
            Place::LibvirtXen | Place::LibvirtQemu | Place::LibvirtTest => {
                return Err(Report::msg(format!("{place} needs libvirt")));
            }
        })
    }

    /// The folder of what is run in one of several places.
    pub(crate) fn folder_of(place: &Place, folder: &Path) -> PathBuf {
        folder.join(place.to_string())
    }
}

/// Guests of libvirt's driver for tests run no code: they need no image, and have no addresses.
#[cfg(feature = "libvirt")]
const LIBVIRT_TEST: &str = r#"
[[host]]
name = "driver"
address = "localhost"
toolstack = "libvirt"
attributes = { libvirt_uri = "test:///default", spare_interface = "eth1" }
[host.deadlines]
state = "30s"
boot = "30s"
command = "60s"
device = "20s"
suspend = "60s"
[host.guest_network]
network = "default"
[[host.images]]
name = "bare"
aliases = ["generic-linux"]
kinds = ["hvm"]
memory_mib = 16
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_have_names_and_hosts_of_the_lab_file_too() {
        let on = |names: &[&str], lab: Option<PathBuf>| {
            let on = names.iter().map(|&name| name.to_owned()).collect();
            PlaceArgs { on, lab, ..PlaceArgs::default() }.places()
        };
        assert_eq!(on(&[], None).unwrap(), [Place::Xl]);
        assert_eq!(on(&["sim", "xl"], None).unwrap(), [Place::Sim, Place::Xl]);
        let error = on(&["libvirt"], None).unwrap_err().to_string();
        assert!(error.contains("xl, libvirt-xen, libvirt-qemu, libvirt-test, sim"), "{error}");
        assert!(on(&["sim", "xl", "sim"], None).is_err());
        for (name, place) in Place::NAMED {
            assert_eq!(place.to_string(), name);
        }
        let folder = tempfile::tempdir().unwrap();
        let lab = folder.path().join("lab.toml");
        std::fs::write(&lab, "[[host]]\nname = \"rack1\"\naddress = \"x\"\ntoolstack = \"sim\"\n")
            .unwrap();
        assert_eq!(on(&[], Some(lab.clone())).unwrap(), [Place::LabFile]);
        let both = on(&["rack1", "sim"], Some(lab)).unwrap();
        assert_eq!(both, [Place::LabHost("rack1".into()), Place::Sim]);
    }
}
