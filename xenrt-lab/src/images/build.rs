//! Running mmdebstrap.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::keys::Keys;
use super::recipe::{DOM0_DISK_MIB, Recipe, dpkg_options};
use super::{assets, catalogue};
use crate::error::{IoContext as _, LabError, Result};
use crate::process::{Fate, Spawner};
use crate::progress::TaskProgress;
use crate::tools::Tools;
use crate::wait::{Look, last_lines, run, wait_until};

/// Deadline of one mmdebstrap: a minute here, more behind a slow line.
const BOOTSTRAP: Duration = Duration::from_secs(30 * 60);

/// The files that a build makes, for QEMU.
pub(super) const FILES: &[&str] =
    &["xen", "vmlinux", "vmlinuz", "dom0.initrd", "dom0.raw", "tiny-qemu.initrd"];

/// Builds all images in `work`, an empty directory; the result is in the directory that it returns.
pub(super) async fn build(
    tools: &Tools,
    spawner: &Spawner,
    recipe: &Recipe,
    keys: &Keys,
    work: &Path,
    progress: &TaskProgress,
) -> Result<PathBuf> {
    let scripts = work.join("assets");
    let out = work.join("out");
    assets::write(&scripts)?;
    keys.copy_to(&scripts.join("keys"))?;
    fs::create_dir_all(&out).io("create", &out)?;

    let root = nix::unistd::Uid::effective().is_root();
    if !root {
        // Without root, the hooks run as root of a user name space, another user on this side: it
        // reads the scripts and leaves its files in `out`.
        open_to_all(work, 0o755)?;
        open_to_all(&out, 0o1777)?;
        for key in fs::read_dir(scripts.join("keys")).io("read", &scripts)?.flatten() {
            open_to_all(&key.path(), 0o644)?;
        }
    }
    let bootstrap =
        Bootstrap { tools, spawner, recipe, scripts: &scripts, out: &out, root, progress };
    tokio::try_join!(
        bootstrap.run("dom0", recipe.dom0_packages(), dpkg_options(true)),
        bootstrap.run("guest", recipe.guest_packages(), dpkg_options(false)),
    )?;

    if !root {
        take_over(&out)?;
    }
    // The guest's disk goes onto dom0's: debugfs writes into an image that nobody has mounted.
    progress.step("putting the guests onto dom0's disk", Some(95));
    let command =
        format!("write {} /var/lib/xen/images/debian.raw", out.join("debian.raw").display());
    let disk = out.join("dom0.raw");
    let arguments = [OsString::from("-w"), "-R".into(), command.into(), disk.clone().into()];
    let written = run(&tools.debugfs, &arguments, Duration::from_secs(120)).await?;
    // debugfs ends well whatever happened; what went wrong it says.
    if !written.success || !written.stdout.contains("Allocated inode") {
        return Err(LabError::Command {
            what: "debugfs".into(),
            status: written.status,
            output: last_lines(&format!("{}{}", written.stdout, written.stderr), 5),
        });
    }
    fs::remove_file(out.join("debian.raw")).io("remove", &out)?;
    for name in FILES {
        let path = out.join(name);
        let size = fs::metadata(&path).io("look at", &path)?.len();
        if size == 0 {
            return Err(LabError::Damaged { path, why: "the build left it empty".into() });
        }
    }
    Ok(out)
}

fn open_to_all(path: &Path, mode: u32) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).io("change the mode of", path)
}

/// Replaces the name space's files by copies that belong to this user.
fn take_over(out: &Path) -> Result<()> {
    for entry in fs::read_dir(out).io("read", out)?.flatten() {
        let path = entry.path();
        let copy = path.with_extension("copy");
        let arguments = [Path::new("--sparse=always"), &path, &copy];
        let status = std::process::Command::new("cp").args(arguments).status();
        status.and_then(|_| fs::rename(&copy, &path)).io("take over", &path)?;
    }
    Ok(())
}

/// What both runs of mmdebstrap have in common.
struct Bootstrap<'a> {
    tools: &'a Tools,
    spawner: &'a Spawner,
    recipe: &'a Recipe,
    scripts: &'a Path,
    out: &'a Path,
    root: bool,
    progress: &'a TaskProgress,
}

impl Bootstrap<'_> {
    async fn run(&self, name: &str, packages: String, dpkg: Vec<String>) -> Result<()> {
        let log = self.out.join(format!("{name}.log"));
        let sources = self.scripts.join("sources.list");
        let lines = self.recipe.sources.lines.join("\n") + "\n";
        fs::write(&sources, lines).io("write", &sources)?;
        let stdin = fs::File::open(&sources).io("open", &sources)?;
        // If this process dies, so does mmdebstrap; TERM lets it remove what it has unpacked.
        let fate = Fate::DieWith("TERM");
        let mut child = self
            .spawner
            .spawn(&self.tools.mmdebstrap, fate, &log, |command| {
                command
                    .arg(if self.root { "--mode=root" } else { "--mode=unshare" })
                    .args(["--variant=essential", "--format=null", "--architectures=amd64"])
                    .arg("--aptopt=APT::Install-Recommends \"false\"")
                    .arg("--aptopt=Acquire::Languages \"none\"")
                    .args(dpkg.iter().map(|option| format!("--dpkgopt={option}")))
                    .arg(format!("--include={packages}"))
                    .arg(format!("--customize-hook=sh \"$ASSETS/build-{name}.sh\" \"$1\""))
                    .args([self.recipe.sources.release.as_str(), "/dev/null", "-"])
                    .env("ASSETS", self.scripts)
                    .env("OUT", self.out)
                    .env("DOM0_DISK", format!("{DOM0_DISK_MIB}M"))
                    .env("DEBIAN_DISK", format!("{}M", catalogue::DEBIAN_DISK_MIB))
                    // The kernel package must not build an initramfs: a slow one, and not ours.
                    .env("INITRD", "No")
                    .env("DEBIAN_FRONTEND", "noninteractive")
                    .env("LC_ALL", "C.UTF-8")
                    .stdin(stdin);
            })
            .await?;
        let mut shown = 0;
        let what = format!("mmdebstrap for {name}");
        let status = wait_until(&what, BOOTSTRAP, Duration::from_millis(100), || {
            let said = fs::read_to_string(&log).unwrap_or_default();
            for line in said.lines().skip(shown) {
                self.show(name, line);
            }
            shown = said.lines().count();
            let look = match child.exited() {
                Some(status) => Look::Done(status),
                None => Look::NotYet(last_lines(&said, 1)),
            };
            async { Ok(look) }
        })
        .await?;
        if status.success() {
            return Ok(());
        }
        let said = fs::read_to_string(&log).unwrap_or_default();
        Err(LabError::Command { what, status: status.to_string(), output: last_lines(&said, 30) })
    }

    /// Turns mmdebstrap's own account into progress. Only dom0's, the longer one, counts.
    fn show(&self, name: &str, line: &str) {
        const STEPS: &[(&str, u8)] = &[
            ("running apt-get update", 2),
            ("downloading packages", 5),
            ("extracting archives", 15),
            ("installing essential packages", 20),
            ("installing remaining packages", 30),
            ("running --customize-hook", 80),
        ];
        let Some(line) = line.strip_prefix("I: ") else { return };
        if let Some((step, percent)) = STEPS.iter().find(|(step, _)| line.starts_with(step)) {
            let step = if step.contains("hook") { "configuring" } else { step };
            self.progress.step(format!("{name}: {step}"), (name == "dom0").then_some(*percent));
        }
    }
}
