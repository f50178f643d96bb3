//! Answer files: what an installer asks, answered beforehand.
//!
//! [`Answers`] says what a guest should be; [`Answers::files`] writes that in the language of the
//! installer of a [`GuestSystem`]: cloud-init, Debian's preseed, Ubuntu's autoinstall, Anaconda's
//! kickstart, SUSE's `AutoYaST`, the answer file of Windows setup.
//!
//! ```
//! use xenrt_testcases::answers::Answers;
//! use xenrt_testcases::systems::{Catalogue, Install};
//!
//! let systems = Catalogue::built_in()?;
//! let answers = Answers::new("web1", "it's a \"secret\"").source("http://mirror.example.org/alma/9");
//! let files = answers.files(systems.find("alma9")?, Install::Kickstart)?;
//! assert_eq!(files[0].name, "ks.cfg");
//! assert!(files[0].text.contains("--hostname=web1"));
//! // What an installer cannot be told is refused, and the error says what it could be.
//! assert!(Answers::new("not a host name", "x").files(systems.find("alma9")?, Install::Kickstart).is_err());
//! # Ok::<(), xenrt::Error>(())
//! ```
//!
//! # What becomes of passwords
//!
//! Linux systems are given a hash (SHA-512 crypt), so that any text will do. Those whose C library is
//! older than 2.7 (2007) know no such hash and are given the text; where their answer file has no way
//! to quote it, only passwords of letters, digits and `._@%+-` are taken. Windows setup knows no hash.

mod autounattend;
mod autoyast;
mod cloud_init;
mod kickstart;
mod preseed;
#[cfg(test)]
mod tests;
mod valid;

use std::net::Ipv4Addr;

use rand::distr::Alphanumeric;
use rand::{Rng as _, rng};
use xenrt::Error;

use crate::systems::{GuestSystem, Install, SystemKind};

/// A file for an installer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerFile {
    /// Its name, as the installer looks for it or as is usual: `autounattend.xml`.
    pub name: &'static str,
    /// What is in it.
    pub text: String,
}

/// How the first network interface gets its address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Addressing {
    /// By DHCP.
    #[default]
    Dhcp,
    /// It is told.
    Fixed {
        /// The address.
        address: Ipv4Addr,
        /// How many bits of it are the network's, up to 32.
        prefix: u8,
        /// Where all else goes.
        gateway: Ipv4Addr,
        /// Who knows names.
        nameserver: Option<Ipv4Addr>,
    },
}

impl Addressing {
    /// The network mask of a fixed address.
    fn netmask(prefix: u8) -> Ipv4Addr {
        let bits = u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0);
        Ipv4Addr::from_bits(bits)
    }
}

/// What a guest should be when it is installed. Build it with the methods named like its fields.
///
/// Its administrator (`root`, `Administrator`) has the password, and may log in with it over ssh.
#[derive(Clone, PartialEq, Eq)]
pub struct Answers {
    host_name: String,
    password: String,
    user: Option<String>,
    ssh_keys: Vec<String>,
    source: Option<String>,
    disk: Option<String>,
    packages: Vec<String>,
    addressing: Addressing,
    locale: String,
    keyboard: String,
    timezone: String,
    product_key: Option<String>,
    edition: Option<String>,
}

impl std::fmt::Debug for Answers {
    /// Without the password and the product key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answers")
            .field("host_name", &self.host_name)
            .field("user", &self.user)
            .field("source", &self.source)
            .field("addressing", &self.addressing)
            .finish_non_exhaustive()
    }
}

impl Answers {
    /// A guest of this name, whose administrator has this password. American English, UTC, DHCP, the
    /// first disk, a system without extras, unless set.
    pub fn new(host_name: impl Into<String>, password: impl Into<String>) -> Self {
        Self {
            host_name: host_name.into(),
            password: password.into(),
            user: None,
            ssh_keys: Vec::new(),
            source: None,
            disk: None,
            packages: Vec::new(),
            addressing: Addressing::Dhcp,
            locale: "en_US.UTF-8".to_owned(),
            keyboard: "us".to_owned(),
            timezone: "UTC".to_owned(),
            product_key: None,
            edition: None,
        }
    }

    /// Adds an ordinary user with the same password, who may become the administrator.
    #[must_use]
    pub fn user(mut self, name: impl Into<String>) -> Self {
        self.user = Some(name.into());
        self
    }

    /// Lets the holder of a key log in as the administrator: a line of `authorized_keys` (sshd(8))
    /// without options.
    #[must_use]
    pub fn ssh_key(mut self, line: impl Into<String>) -> Self {
        self.ssh_keys.push(line.into());
        self
    }

    /// Sets where the installer finds its packages: a URL with `http`, `https` or `ftp`.
    #[must_use]
    pub fn source(mut self, url: impl Into<String>) -> Self {
        self.source = Some(url.into());
        self
    }

    /// Sets the disk that is overwritten, by its name without `/dev/`: `xvda`. Else the installer takes
    /// the first one.
    #[must_use]
    pub fn disk(mut self, name: impl Into<String>) -> Self {
        self.disk = Some(name.into());
        self
    }

    /// Adds a package beside what every guest has, an ssh server among it.
    #[must_use]
    pub fn package(mut self, name: impl Into<String>) -> Self {
        self.packages.push(name.into());
        self
    }

    /// Sets how the first interface gets its address.
    #[must_use]
    pub fn addressing(mut self, addressing: Addressing) -> Self {
        self.addressing = addressing;
        self
    }

    /// Sets the locale, as POSIX has it: `de_DE.UTF-8`.
    #[must_use]
    pub fn locale(mut self, locale: impl Into<String>) -> Self {
        self.locale = locale.into();
        self
    }

    /// Sets the keyboard's layout, as X has it: `de`.
    #[must_use]
    pub fn keyboard(mut self, layout: impl Into<String>) -> Self {
        self.keyboard = layout.into();
        self
    }

    /// Sets the time zone, as the tz database has it: `Europe/Berlin`. Windows has names of its own for
    /// them: `W. Europe Standard Time`.
    #[must_use]
    pub fn timezone(mut self, zone: impl Into<String>) -> Self {
        self.timezone = zone.into();
        self
    }

    /// Sets the product key of Windows: five groups of five.
    #[must_use]
    pub fn product_key(mut self, key: impl Into<String>) -> Self {
        self.product_key = Some(key.into());
        self
    }

    /// Sets which image of a medium of Windows is installed, by its name there: `Windows 11 Pro`. Else
    /// the first one is, or the one that the product key is for.
    #[must_use]
    pub fn edition(mut self, name: impl Into<String>) -> Self {
        self.edition = Some(name.into());
        self
    }

    /// The answer files for a system that is installed in this way, which is one of
    /// [its own](GuestSystem::installs).
    ///
    /// # Errors
    /// [`Error::Invalid`] for a way that the system is not installed in, one that has no answer file
    /// here, and for an answer that cannot be written down such that the installer reads it so.
    pub fn files(&self, system: &GuestSystem, install: Install) -> Result<Vec<AnswerFile>, Error> {
        if !system.installs().any(|own| own == install) {
            let known: Vec<String> = system.installs().map(|own| own.to_string()).collect();
            return Err(Error::invalid(
                format!("an answer file of {install} for {}", system.name),
                format!("it is installed by {}", known.join(" or ")),
            ));
        }
        self.validate(system.kind)?;
        match install {
            Install::CloudInit => cloud_init::files(self),
            Install::Autoinstall => cloud_init::autoinstall(self),
            Install::Preseed => preseed::files(self, system),
            Install::Kickstart => kickstart::files(self, system),
            Install::Autoyast => autoyast::files(self, system),
            Install::Autounattend => autounattend::files(self, system),
            Install::CloudConfig | Install::Jumpstart | Install::Template => Err(Error::invalid(
                format!("an answer file for {}", system.name),
                format!("there is none for {install}; make a guest from a ready image of it"),
            )),
        }
    }

    fn validate(&self, kind: SystemKind) -> Result<(), Error> {
        let windows = kind == SystemKind::Windows;
        valid::host_name(&self.host_name, windows)?;
        valid::password(&self.password)?;
        if let Some(user) = &self.user {
            valid::user(user, windows.then_some(self.host_name.as_str()))?;
        }
        self.ssh_keys.iter().try_for_each(|key| valid::ssh_key(key))?;
        if let Some(source) = &self.source {
            valid::url(source)?;
        }
        if let Some(disk) = &self.disk {
            valid::words("the disk", disk, "")?;
        }
        self.packages.iter().try_for_each(|name| valid::words("a package", name, "@.+_:-"))?;
        valid::words("the locale", &self.locale, "_.@-")?;
        valid::words("the keyboard's layout", &self.keyboard, "_-")?;
        valid::words("the time zone", &self.timezone, if windows { "_+/-. ()" } else { "_+/-" })?;
        valid::addressing(&self.addressing)?;
        if let Some(key) = &self.product_key {
            valid::product_key(key)?;
        }
        match &self.edition {
            Some(edition) => valid::words("the edition", edition, " .()-"),
            None => Ok(()),
        }
    }

    /// The password as `/etc/shadow` has it: SHA-512 crypt (crypt(5)), with a salt that is new each time.
    fn shadow(&self) -> Result<String, Error> {
        use sha_crypt::{CustomizedPasswordHasher as _, Params, ShaCrypt};
        let salt: String = rng().sample_iter(Alphanumeric).take(12).map(char::from).collect();
        ShaCrypt::SHA512
            .hash_password_customized(
                self.password.as_bytes(),
                salt.as_bytes(),
                None,
                None,
                Params::RECOMMENDED,
            )
            .map(|hash| hash.to_string())
            .map_err(|error| Error::invalid("the password", error.to_string()))
    }

    /// What is done in the installed system, as root, in its own root folder: keys, and logins of root
    /// over ssh. sshd takes the first value of a setting (sshd_config(5)), so others are removed.
    fn finish_script(&self) -> String {
        let mut lines = vec![
            "if [ -f /etc/ssh/sshd_config ]; then sed -i -e '/^PermitRootLogin/d' -e '1i PermitRootLogin yes' \
             /etc/ssh/sshd_config; else mkdir -p /etc/ssh/sshd_config.d; \
             echo 'PermitRootLogin yes' > /etc/ssh/sshd_config.d/00-xenrt.conf; fi"
                .to_owned(),
        ];
        if !self.ssh_keys.is_empty() {
            lines.push("mkdir -p -m 700 /root/.ssh".to_owned());
            let keys = self.ssh_keys.iter();
            lines.extend(keys.map(|key| format!("echo '{key}' >> /root/.ssh/authorized_keys")));
            lines.push("chmod 600 /root/.ssh/authorized_keys".to_owned());
        }
        lines.join("\n")
    }
}

/// The first number of a version: 11 of `11 SP4`, 6 of `6.10`.
fn major(system: &GuestSystem) -> Option<u32> {
    let version = system.version.as_deref()?;
    let digits = version.find(|c: char| !c.is_ascii_digit()).unwrap_or(version.len());
    version[..digits].parse().ok()
}

fn plain_word(password: &str, system: &GuestSystem) -> Result<(), Error> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._@%+-".contains(c);
    if password.chars().all(plain) && !password.starts_with('-') {
        return Ok(());
    }
    Err(Error::invalid(
        "the password",
        format!(
            "{} knows no SHA-512 hash, and its answer file cannot quote; take letters, digits and `._@%+-`",
            system.name
        ),
    ))
}
