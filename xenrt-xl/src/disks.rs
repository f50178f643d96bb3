//! Disks of guests: raw files in the guest's folder, as small as what was written to them.

use xenrt_core::model::{DiskSource, DiskSpec};

use crate::config;
use crate::definition::DefinedDisk;
use crate::script::{Script, q};

/// Adds the step that makes `disk` as `spec` says, or requires that what it names is there.
///
/// New disks are sparse; copies share their blocks with the original where the file system can
/// (`--reflink`), and are sparse where it cannot. An existing file at the place of a disk that is to
/// be made is an error: it may be somebody's data.
pub(crate) fn make(script: Script, spec: &DiskSpec, disk: &DefinedDisk) -> Script {
    let to = q(&disk.path);
    let free = format!("[ ! -e {to} ] || refuse AlreadyExists {}", {
        q(&format!("there is a file {} already", disk.path))
    });
    let there = |path: &str| {
        let message = q(&format!("there is no file or block device {path} on the host"));
        format!("[ -e {} ] || refuse MissingFile {message}", q(path))
    };
    match &spec.source {
        DiskSource::New(size) => {
            script.step(free).step(format!("truncate -s {} -- {to}", size.as_bytes()))
        }
        DiskSource::CopyOf(from) => script.step(free).step(there(from)).step(format!(
            "cp --sparse=always --reflink=auto -- {} {to} || {{ rm -f -- {to}; exit 1; }}",
            q(from)
        )),
        DiskSource::Existing(path) => script.step(there(path)),
    }
}

/// The step that takes away what was made for `disk`.
pub(crate) fn unmake(disk: &DefinedDisk) -> String {
    if disk.owned { format!("rm -f -- {}", q(&disk.path)) } else { "true".to_owned() }
}

/// The argument of `xl block-attach` for `disk`.
pub(crate) fn attachment(disk: &DefinedDisk) -> String {
    q(&config::disk(disk))
}

#[cfg(test)]
mod tests {
    use super::*;
    use xenrt_core::model::Memory;

    fn run(script: Script) -> (bool, String) {
        let line = script.command().to_shell_line();
        let output = std::process::Command::new("sh").args(["-c", &line]).output().unwrap();
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    }

    #[test]
    fn disks_are_made_sparse_copied_and_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let disk = |name: &str| DefinedDisk {
            device: "xvda".into(),
            path: path(name),
            read_only: false,
            owned: true,
        };
        let new = DiskSpec::new(Memory::mib(64));
        assert!(run(make(Script::new(), &new, &disk("it's new"))).0);
        let made = std::fs::metadata(path("it's new")).unwrap();
        assert_eq!(made.len(), 64 << 20);
        let (done, stderr) = run(make(Script::new(), &new, &disk("it's new")));
        assert!(!done && stderr.starts_with("xenrt-refusal AlreadyExists: "), "{stderr}");

        let copy = DiskSpec::copy_of(path("it's new"));
        assert!(run(make(Script::new(), &copy, &disk("copy"))).0);
        assert_eq!(std::fs::metadata(path("copy")).unwrap().len(), 64 << 20);
        let missing = DiskSpec::copy_of(path("nothing"));
        let (done, stderr) = run(make(Script::new(), &missing, &disk("other")));
        assert!(!done && stderr.starts_with("xenrt-refusal MissingFile: "), "{stderr}");
        assert!(!folder.path().join("other").exists());
    }
}
