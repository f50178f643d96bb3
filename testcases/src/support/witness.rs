//! Whether a guest went on or booted anew, as it knows itself.

use xenrt::prelude::*;

/// Where the marker is: memory of the guest, gone with its boot.
const MARKER: &str = "/run/xenrt-witness";

/// What was left in the memory of a guest.
#[derive(Debug, Clone)]
pub(crate) struct Witness {
    boot_id: String,
    token: String,
}

/// The kernel's identity of a boot (random(4)).
pub(crate) async fn boot_id(guest: &dyn Guest) -> Result<String> {
    let read = Command::new("cat").arg("/proc/sys/kernel/random/boot_id");
    Ok(guest.shell().await?.text(&read.deadline(Duration::from_secs(60))).await?)
}

impl Witness {
    /// Leaves a marker in the memory of a guest.
    pub(crate) async fn leave(guest: &dyn Guest) -> Result<Self> {
        let boot_id = boot_id(guest).await?;
        let token = format!("{} of {boot_id}", guest.name());
        let write = Command::new("printf").args(["%s", &token]).to_shell_line();
        let write = Command::shell_line(format!("{write} > {MARKER}"));
        guest.shell().await?.run(&write.deadline(Duration::from_secs(60))).await?;
        Ok(Self { boot_id, token })
    }

    /// What was left, as it stands in the memory of the guest.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    async fn marker(guest: &dyn Guest) -> Result<Option<String>> {
        let read = Command::new("cat").arg(MARKER).deadline(Duration::from_secs(60));
        let read = guest.shell().await?.execute(&read).await?;
        Ok(read.status.success().then(|| read.text()))
    }

    /// Nothing where the guest went on from where it was: the same boot, and its memory kept.
    ///
    /// # Errors
    /// The product's, where it booted anew or lost its memory.
    pub(crate) async fn went_on(&self, guest: &dyn Guest) -> Result {
        let now = boot_id(guest).await?;
        if now != self.boot_id {
            let message = format!(
                "guest {} booted anew instead of going on (boot {now}, before {})",
                guest.name(),
                self.boot_id
            );
            return Err(TestError::product(message));
        }
        match Self::marker(guest).await? {
            Some(found) if found == self.token => Ok(()),
            found => Err(TestError::product(format!(
                "guest {} lost what it had in memory: {MARKER} should hold {:?} and holds {found:?}",
                guest.name(),
                self.token
            ))),
        }
    }

    /// Nothing where the guest booted since, and nothing of its memory is left.
    ///
    /// # Errors
    /// The product's, where it did not.
    pub(crate) async fn booted_anew(&self, guest: &dyn Guest) -> Result {
        if boot_id(guest).await? == self.boot_id {
            let message = format!("guest {} still runs the boot from before", guest.name());
            return Err(TestError::product(message));
        }
        match Self::marker(guest).await? {
            None => Ok(()),
            Some(found) => Err(TestError::product(format!(
                "guest {} booted and yet kept what it had in memory: {found:?}",
                guest.name()
            ))),
        }
    }
}

/// Starts a Halted guest and waits until it is what it was, booted anew since `witness` was left.
///
/// # Errors
/// The product's, where it goes on from before or is not what it should be.
pub(crate) async fn start_anew(guest: &dyn Guest, witness: &Witness) -> Result {
    guest.start().await?;
    guest.wait_until_reachable().await?;
    witness.booted_anew(guest).await?;
    Ok(guest.check().await?)
}
