//! Looking at a guest from inside, with one command, and helping it use what it was given.

use std::time::Duration;

use super::{InsideView, Memory};
use crate::remote::{Command, Shell, ShellExt, Wait};
use crate::{Error, Result};

/// Needs nothing but a POSIX shell, procfs and sysfs, so that the smallest guest can answer.
/// `type 1` is Ethernet (ARPHRD_ETHER, linux/if_arp.h); virtual interfaces have no `device` link.
pub(crate) const SCRIPT: &str = r#"
grep -c '^processor' /proc/cpuinfo | sed 's/^/vcpus /'
sed -n 's/^MemTotal: *\([0-9]*\) kB$/memory \1/p' /proc/meminfo
for i in /sys/class/net/*; do
  [ -e "$i/device" ] && [ "$(cat "$i/type")" = 1 ] && echo "mac $(cat "$i/address")"
done
for b in /sys/block/*; do
  [ -e "$b/device" ] && echo "disk ${b##*/}"
done
true
"#;

/// What the guest behind `shell` sees of itself.
pub(super) async fn look(shell: &dyn Shell) -> Result<InsideView> {
    let command = Command::shell_line(SCRIPT.trim()).deadline(Duration::from_secs(30));
    parse(&shell.text(&command).await?)
}

/// Has the guest behind `shell` use processors that it was given and left offline: whether it does
/// so by itself depends on rules of its udev. Says how many it uses when it could not bring up all.
///
/// # Errors
/// When the guest cannot be asked.
pub(super) async fn bring_online(shell: &dyn Shell, vcpus: u32) -> Result<Wait<()>> {
    let command = Command::shell_line(online_script(vcpus)).deadline(Duration::from_secs(30));
    let online = shell.text(&command).await?;
    let enough = online.parse().is_ok_and(|online: u32| online >= vcpus);
    Ok(Wait::on(enough, format!("{online} processors online inside")))
}

/// A processor that the hypervisor has not announced yet refuses; the next try may succeed.
pub(crate) fn online_script(vcpus: u32) -> String {
    format!(
        r#"for f in /sys/devices/system/cpu/cpu[0-9]*/online; do
  n=${{f%/online}}; n=${{n##*cpu}}
  [ -e "$f" ] && [ "$n" -lt {vcpus} ] && [ "$(cat "$f")" = 0 ] && echo 1 2>/dev/null >"$f"
done 2>/dev/null
grep -c '^processor' /proc/cpuinfo"#
    )
}

fn parse(text: &str) -> Result<InsideView> {
    let mut view = InsideView::default();
    for line in text.lines() {
        let understood = match line.split_once(' ') {
            Some(("vcpus", count)) => count.parse().map(|count| view.vcpus = count).is_ok(),
            Some(("memory", kib)) => kib.parse().map(|kib| view.memory = Memory::kib(kib)).is_ok(),
            Some(("mac", mac)) => mac.parse().map(|mac| view.macs.push(mac)).is_ok(),
            Some(("disk", name)) => {
                view.disks.push(name.to_owned());
                true
            }
            _ => false,
        };
        if !understood {
            return Err(Error::UnexpectedOutput {
                what: "what the guest says about itself".to_owned(),
                expected: "lines with vcpus, memory, mac and disk".to_owned(),
                found: line.to_owned(),
            });
        }
    }
    Ok(view)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_whole_and_noise_is_refused() {
        let text = "vcpus 2\nmemory 200000\nmac 00:16:3e:00:00:65\ndisk xvda\ndisk xvdb";
        let view = parse(text).unwrap();
        assert_eq!((view.vcpus, view.memory.as_kib()), (2, 200_000));
        assert_eq!((view.macs.len(), view.disks), (1, vec!["xvda".into(), "xvdb".to_owned()]));
        for noise in ["sh: grep: not found", "vcpus many", "mac nonsense"] {
            assert!(matches!(parse(noise), Err(Error::UnexpectedOutput { .. })), "{noise}");
        }
    }
}
