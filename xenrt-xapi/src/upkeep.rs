//! Keeping a host: its reboot, patches and updates, crash dumps, status reports and metrics.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;
use xenrt_core::model::{Guest as _, Host as _};
use xenrt_core::remote::{Command, ShellExt as _, Wait, wait_until};
use xenrt_core::{Error, Result};

use crate::guest::XapiGuest;
use crate::host::XapiHost;
use crate::parse::{Record, not_understood, values};
use crate::temporary::TemporaryFolder;
use crate::xe::{ApiCode, XeCommand, XeError};

/// How long a status report may take: it asks every daemon for all that it knows.
const REPORT: Duration = Duration::from_secs(1800);

/// A patch that was uploaded to the pool, of releases that have patches (before XenServer 7.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    /// Its identity.
    pub uuid: Uuid,
    /// Its name.
    pub name: String,
    /// The hosts that have it.
    pub hosts: Vec<Uuid>,
    /// What is to be restarted after it, in xapi's words.
    pub guidance: Vec<String>,
}

/// What was applied to a host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// Its patches.
    pub patches: Vec<String>,
    /// Its updates.
    pub updates: Vec<String>,
    /// The updates that have no effect before a reboot.
    pub need_reboot: Vec<String>,
}

/// A crash of a host that it wrote down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrashDump {
    /// Its identity.
    pub uuid: Uuid,
    /// All that xapi tells of it, by its own names.
    pub fields: BTreeMap<String, String>,
}

/// The members of a set, without the empty one that an empty set shows.
fn members(record: &Record<'_>, name: &str) -> Vec<String> {
    let set = values::set(record.get(name).unwrap_or_default());
    set.into_iter().filter(|one| !one.is_empty()).map(str::to_owned).collect()
}

impl XapiHost {
    /// Reboots the host as xapi does: no guest may be started on it any more, and xapi ends it. Its
    /// guests must be gone or may be lost, see [`evacuate`](Self::evacuate). After: another boot,
    /// and enabled.
    ///
    /// # Errors
    /// What xapi refuses; [`Error::Timeout`] when it does not come back, or comes back without having
    /// been away.
    pub async fn reboot_by_xapi(&self) -> Result<()> {
        let boot = Command::new("cat").arg("/proc/sys/kernel/random/boot_id");
        let boot = boot.deadline(Duration::from_secs(30));
        let before = self.dom0().text(&boot).await?;
        self.disable().await?;
        let reboot = XeCommand::new("host-reboot").uuid(self.uuid());
        match self.xe().run(&reboot).await {
            Ok(_) => {}
            // The connection may go before the command returns; that is what was asked for.
            Err(error) if error.is_ambiguous() => {}
            Err(error) => {
                return Err(error.during("reboot", &format!("host {:?}", self.name())));
            }
        }
        let dom0 = self.dom0();
        wait_until(format!("host {} to have rebooted", self.name()), || async {
            dom0.reset().await;
            let now = dom0.text(&boot).await?;
            Ok(Wait::on(now != before, "it still runs the boot from before"))
        })
        .within(self.entry().deadlines.host_boot)
        .await?;
        self.wait_until_up().await?;
        self.enable().await
    }

    /// The patches of the pool; none on releases that have updates instead. One call.
    ///
    /// # Errors
    /// When xapi cannot be asked.
    pub async fn patches(&self) -> Result<Vec<Patch>> {
        let list = XeCommand::new("patch-list").fields(&[
            "uuid",
            "name-label",
            "hosts",
            "after-apply-guidance",
        ]);
        let patch = |record: &Record<'_>| {
            let host = |uuid: String| {
                uuid.parse().map_err(|_| not_understood("the field hosts", "UUIDs", &uuid))
            };
            Ok(Patch {
                uuid: record.parse("uuid")?,
                name: record.require("name-label")?.to_owned(),
                hosts: members(record, "hosts").into_iter().map(host).collect::<Result<_>>()?,
                guidance: members(record, "after-apply-guidance"),
            })
        };
        self.read(list, "patches", patch).await
    }

    /// What was applied to this host, as its record says. One call.
    ///
    /// # Errors
    /// When xapi cannot be asked.
    pub async fn applied(&self) -> Result<Applied> {
        let fields = ["uuid", "patches", "updates", "updates-requiring-reboot"];
        let list = XeCommand::new("host-list").uuid(self.uuid()).fields(&fields);
        let applied = |record: &Record<'_>| {
            Ok(Applied {
                patches: members(record, "patches"),
                updates: members(record, "updates"),
                need_reboot: members(record, "updates-requiring-reboot"),
            })
        };
        let all = self.read(list, "updates", applied).await?;
        all.into_iter().next().ok_or_else(|| not_understood("xe host-list", "this host", ""))
    }

    /// Gives the pool a patch (`patch-upload`) from a file of dom0. Returns its identity. One call.
    ///
    /// # Errors
    /// What xapi refuses: `INVALID_PATCH`, `PATCH_ALREADY_EXISTS`.
    pub async fn upload_patch(&self, path: &str) -> Result<Uuid> {
        let upload = XeCommand::new("patch-upload").param("file-name", path);
        let upload = upload.deadline(self.entry().deadlines.migrate);
        self.xe().create(&upload).await.map_err(|error| error.during("upload", path))
    }

    /// Applies a patch to this host. One that it has already is a success. One call.
    ///
    /// # Errors
    /// What xapi refuses: the checks before it (`PATCH_PRECHECK_FAILED_*`), the patch itself.
    pub async fn apply_patch(&self, patch: Uuid) -> Result<()> {
        let apply =
            XeCommand::new("patch-apply").uuid(patch).param("host-uuid", self.uuid().to_string());
        self.applied_or("PATCH_ALREADY_APPLIED", apply, &format!("patch {patch}")).await
    }

    /// Gives the pool an update (`update-upload`, XenServer 7.1 and later) from a file of dom0, on the
    /// storage `sr` where it is given. Returns its identity. One call.
    ///
    /// # Errors
    /// What xapi refuses: `INVALID_UPDATE`, `UPDATE_ALREADY_EXISTS`.
    pub async fn upload_update(&self, path: &str, sr: Option<Uuid>) -> Result<Uuid> {
        let upload = XeCommand::new("update-upload")
            .param("file-name", path)
            .maybe("sr-uuid", sr.map(|uuid| uuid.to_string()))
            .deadline(self.entry().deadlines.migrate);
        self.xe().create(&upload).await.map_err(|error| error.during("upload", path))
    }

    /// Applies an update to this host. One that it has already is a success. One call.
    ///
    /// # Errors
    /// What xapi refuses: the checks before it (`UPDATE_PRECHECK_FAILED_*`), the update itself.
    pub async fn apply_update(&self, update: Uuid) -> Result<()> {
        let apply =
            XeCommand::new("update-apply").uuid(update).param("host", self.uuid().to_string());
        self.applied_or("UPDATE_ALREADY_APPLIED", apply, &format!("update {update}")).await
    }

    async fn applied_or(&self, already: &str, apply: XeCommand, object: &str) -> Result<()> {
        let apply = apply.deadline(self.entry().deadlines.host_boot);
        // That it was applied is told when it is applied again.
        match self.xe().repeat(&apply, |_| false).await {
            Err(error) if error.code() == Some(&ApiCode::of(already)) => Ok(()),
            result => result.map_err(|error| error.during("apply", object)),
        }
    }

    /// The crashes of hosts that were written down. One call.
    ///
    /// # Errors
    /// When xapi cannot be asked.
    pub async fn crash_dumps(&self) -> Result<Vec<CrashDump>> {
        let dump = |record: &Record<'_>| {
            let fields = record.fields.iter();
            let fields = fields.map(|field| (field.name.to_owned(), field.value.to_owned()));
            Ok(CrashDump { uuid: record.parse("uuid")?, fields: fields.collect() })
        };
        let list = XeCommand::new("host-crashdump-list").param("params", "all");
        self.read(list, "crash dumps", dump).await
    }

    /// Removes a crash dump; one that is gone already is a success. One call.
    ///
    /// # Errors
    /// What xapi refuses.
    pub async fn remove_crash_dump(&self, dump: Uuid) -> Result<()> {
        match self.xe().run(&XeCommand::new("host-crashdump-destroy").uuid(dump)).await {
            Err(error) if error.is_missing_object() => Ok(()),
            result => result
                .map(drop)
                .map_err(|error| error.during("remove", &format!("crash dump {dump}"))),
        }
    }

    /// Writes a status report of this host, what support asks for, to a local file: all of it, or
    /// these entries alone. It takes minutes, and room in dom0's `/tmp` meanwhile.
    ///
    /// # Errors
    /// What xapi refuses; when the file cannot be copied here.
    pub async fn save_status_report(&self, to: &Path, entries: &[&str]) -> Result<()> {
        let dom0 = self.dom0();
        let folder = TemporaryFolder::make(Arc::clone(&dom0), "report").await?;
        let path = folder.file("report");
        let report = XeCommand::new("host-get-system-status")
            .uuid(self.uuid())
            .param("filename", path.as_str())
            .maybe("entries", (!entries.is_empty()).then(|| entries.join(",")))
            .deadline(REPORT);
        let object = format!("host {:?}", self.name());
        let made = self.xe().run(&report).await;
        let made = made.map(drop).map_err(|error| error.during("report on", &object));
        let copied = match made {
            Ok(()) => dom0.download(&path, to).await.map_err(Error::from),
            Err(error) => Err(error),
        };
        // Whatever came of it, nothing is left there.
        let removed = folder.remove().await;
        copied?;
        removed?;
        Ok(())
    }

    /// The newest value of a metric of this host (`loadavg`, `memory_free_kib`, `cpu0`, ...), in the
    /// metric's own unit. One call.
    ///
    /// # Errors
    /// What xapi refuses: a metric that there is none; an answer that is no number.
    pub async fn metric(&self, name: &str) -> Result<f64> {
        let query = XeCommand::new("host-data-source-query").uuid(self.uuid());
        let text = self.xe().run(&query.param("data-source", name)).await;
        number(text.map_err(|error| error.during("measure", &format!("host {:?}", self.name())))?)
    }

    /// Writes a message about an object of the pool, with a priority from 1 (urgent) to 5 (for the
    /// record). One call.
    ///
    /// # Errors
    /// What xapi refuses. When the connection broke, nobody knows whether it was written: it is not
    /// written again.
    pub async fn write_message(
        &self,
        about: About,
        name: &str,
        priority: u8,
        body: &str,
    ) -> Result<()> {
        let (key, uuid) = match about {
            About::Guest(uuid) => ("vm-uuid", uuid),
            About::Host(uuid) => ("host-uuid", uuid),
            About::Storage(uuid) => ("sr-uuid", uuid),
            About::Pool(uuid) => ("pool-uuid", uuid),
        };
        let create = XeCommand::new("message-create")
            .param("name", name)
            .param("priority", priority.to_string())
            .param("body", body)
            .param(key, uuid.to_string());
        let during = |error: XeError| error.during("write", &format!("message {name:?}"));
        self.xe().run(&create).await.map(drop).map_err(during)
    }
}

/// What a message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// A guest.
    Guest(Uuid),
    /// A host.
    Host(Uuid),
    /// A storage.
    Storage(Uuid),
    /// The pool.
    Pool(Uuid),
}

impl XapiGuest {
    /// The newest value of a metric of this guest (`memory`, `cpu0`, `vif_0_tx`, ...), in the metric's
    /// own unit. Before: Running. One call.
    ///
    /// # Errors
    /// What xapi refuses: a metric that there is none; an answer that is no number.
    pub async fn metric(&self, name: &str) -> Result<f64> {
        let query = XeCommand::new("vm-data-source-query").uuid(self.uuid());
        let text = self.xapi_host().xe().run(&query.param("data-source", name)).await;
        number(text.map_err(self.during("measure"))?)
    }
}

/// A number, however many digits it has. A metric that was never measured is none (`nan`).
fn number(text: String) -> Result<f64> {
    let text = text.trim();
    text.parse().map_err(|_| not_understood("xe data-source-query", "one number", text))
}
