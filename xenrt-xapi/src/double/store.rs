//! The world in its file.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

use super::rules::Rule;
use super::world::World;

/// The environment variable that tells the program where its world is.
pub const STATE_VARIABLE: &str = "XENRT_XE_DOUBLE";

/// The environment variable with the name of the host whose dom0 this is, for pools of several.
pub const HOST_VARIABLE: &str = "XENRT_XE_DOUBLE_HOST";

/// A world in a file, shared by the program `xe-double` and a test.
///
/// ```
/// use xenrt_xapi::double::{Double, Effect, Rule, World};
/// let folder = tempfile::tempdir()?;
/// let double = Double::create(folder.path().join("world"), &World::small())?;
/// double.rule(Rule::once("vm-start", Effect::LostAfter))?;
/// assert!(double.calls()?.is_empty());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Double {
    path: PathBuf,
}

impl Double {
    /// Writes `world` to the file `path`, replacing what was there.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn create(path: impl Into<PathBuf>, world: &World) -> io::Result<Self> {
        let double = Self::open(path);
        let _lock = double.lock()?;
        double.write(world)?;
        File::create(double.beside("calls"))?;
        Ok(double)
    }

    /// The world in the file `path`.
    pub fn open(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Looks at the world.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn look<T>(&self, look: impl FnOnce(&World) -> T) -> io::Result<T> {
        let _lock = self.lock()?;
        Ok(look(&self.read()?))
    }

    /// Changes the world; nobody else can at the same time.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn change<T>(&self, change: impl FnOnce(&mut World) -> T) -> io::Result<T> {
        let _lock = self.lock()?;
        let mut world = self.read()?;
        let changed = change(&mut world);
        self.write(&world)?;
        Ok(changed)
    }

    /// Reads the world once, and writes it back where `visit` says that it has changed it.
    pub(super) fn visit<T>(&self, visit: impl FnOnce(&mut World) -> (T, bool)) -> io::Result<T> {
        let _lock = self.lock()?;
        let mut world = self.read()?;
        let (seen, changed) = visit(&mut world);
        if changed {
            self.write(&world)?;
        }
        Ok(seen)
    }

    /// Adds something that goes wrong, after what is there already.
    ///
    /// # Errors
    /// As [`change`](Self::change).
    pub fn rule(&self, rule: Rule) -> io::Result<()> {
        self.change(|world| world.rules.push(rule))
    }

    /// Whether every rule was used up.
    ///
    /// # Errors
    /// As [`look`](Self::look).
    pub fn rules_are_used_up(&self) -> io::Result<bool> {
        self.look(|world| world.rules.is_empty())
    }

    /// The commands that were run, oldest first: name and arguments as they were given.
    ///
    /// # Errors
    /// When the record cannot be read.
    pub fn calls(&self) -> io::Result<Vec<String>> {
        Ok(std::fs::read_to_string(self.beside("calls"))?.lines().map(str::to_owned).collect())
    }

    /// Forgets the commands that were run.
    ///
    /// # Errors
    /// When the record cannot be written.
    pub fn forget_calls(&self) -> io::Result<()> {
        File::create(self.beside("calls")).map(drop)
    }

    pub(super) fn record(&self, arguments: &[String]) -> io::Result<()> {
        let mut file = File::options().create(true).append(true).open(self.beside("calls"))?;
        let shown: Vec<String> =
            arguments.iter().map(|word| word.escape_debug().to_string()).collect();
        // One write a line, so that lines of several processes do not mix.
        file.write_all(format!("{}\n", shown.join(" ")).as_bytes())
    }

    fn lock(&self) -> io::Result<Flock<File>> {
        let file = File::options().create(true).append(true).open(self.beside("lock"))?;
        Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| error.into())
    }

    fn read(&self) -> io::Result<World> {
        Ok(serde_json::from_slice(&std::fs::read(&self.path)?)?)
    }

    fn write(&self, world: &World) -> io::Result<()> {
        let new = self.beside("new");
        std::fs::write(&new, serde_json::to_vec(world)?)?;
        std::fs::rename(new, &self.path)
    }

    fn beside(&self, what: &str) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{what}"));
        name.into()
    }
}
