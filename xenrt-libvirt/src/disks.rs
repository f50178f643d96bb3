//! Disks of guests: raw files in the guest's folder on the host, as small as what was written to
//! them.

use xenrt_core::model::{DiskSource, DiskSpec};

use crate::script::{Script, q};

/// Adds the step that makes the file `path` as `spec` says, or requires that what it names is there.
///
/// New disks are sparse; copies share their blocks with the original where the file system can. An
/// existing file at the place of a disk that is to be made is an error: it may be somebody's data.
pub(crate) fn make(script: Script, spec: &DiskSpec, path: &str) -> Script {
    let to = q(path);
    let taken = q(&format!("there is a file {path} already"));
    let free = format!("[ ! -e {to} ] || refuse AlreadyExists {taken}");
    let there = |path: &str| {
        let message = q(&format!("there is no file or block device {path} on the host"));
        format!("[ -e {} ] || refuse MissingFile {message}", q(path))
    };
    match &spec.source {
        DiskSource::New(size) => {
            script.step(free).step(format!("truncate -s {} -- {to}", size.as_bytes()))
        }
        DiskSource::CopyOf(from) => script.step(there(from)).step(free).step(format!(
            "cp --sparse=always --reflink=auto -- {} {to} || {{ rm -f -- {to}; exit 1; }}",
            q(from)
        )),
        DiskSource::Existing(path) => script.step(there(path)),
    }
}

/// The step that makes the folder of a guest. The processes of guests are of another user and must
/// reach the files in it, which libvirt gives to them.
pub(crate) fn folder(script: Script, folder: &str) -> Script {
    script.step(format!("umask 022; mkdir -p -- {0}; chmod 711 {0}; umask 077", q(folder)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use xenrt_core::ToolstackErrorKind;
    use xenrt_core::model::Memory;
    use xenrt_core::remote::LocalShell;

    async fn made(spec: &DiskSpec, path: &str) -> xenrt_core::Result<String> {
        let script = make(Script::new(), spec, path);
        script.run(&LocalShell::new(), Duration::from_secs(20), "make", path).await
    }

    #[tokio::test]
    async fn disks_are_made_sparse_copied_and_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let new = DiskSpec::new(Memory::mib(64));
        made(&new, &path("it's new")).await.unwrap();
        assert_eq!(std::fs::metadata(path("it's new")).unwrap().len(), 64 << 20);
        let again = made(&new, &path("it's new")).await.unwrap_err();
        assert_eq!(again.toolstack_kind(), Some(ToolstackErrorKind::AlreadyExists));
        let copy = DiskSpec::copy_of(path("it's new"));
        made(&copy, &path("copy")).await.unwrap();
        assert_eq!(std::fs::metadata(path("copy")).unwrap().len(), 64 << 20);
        let missing = DiskSpec::copy_of(path("nothing"));
        let error = made(&missing, &path("other")).await.unwrap_err();
        assert_eq!(error.toolstack_kind(), Some(ToolstackErrorKind::MissingFile));
        assert!(!folder.path().join("other").exists());
    }
}
