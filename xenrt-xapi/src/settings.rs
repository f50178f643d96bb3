//! What a VM is set to once it is installed: memory, vCPUs, how it boots.

use xenrt_core::model::{Boot, CrashAction, GuestKind, Memory};

use crate::define::{ADDRESS, Plan};
use crate::observe::IMAGE;
use crate::shared::HostShared;
use crate::xe::XeCommand;

impl Plan<'_> {
    pub(crate) fn memory_command(&self) -> Option<XeCommand> {
        let least = self.template.memory[0].min(self.memory);
        let wanted = [least, self.memory, self.memory, self.max_memory];
        (wanted != self.template.memory).then(|| memory_limits(wanted).made("uuid"))
    }

    pub(crate) fn settings(&self, host: &HostShared) -> XeCommand {
        let crash = match self.spec.on_crash {
            CrashAction::Preserve => "preserve",
            CrashAction::Destroy => "destroy",
            CrashAction::Restart => "restart",
        };
        let mut command = XeCommand::new("vm-param-set")
            .made("uuid")
            .param("name-label", self.spec.name.as_str())
            .param("actions-after-crash", crash)
            .param("affinity", host.uuid.to_string());
        let (vcpus, most) = (self.spec.vcpus, self.spec.max_vcpus);
        if (vcpus, most) != (self.template.vcpus, self.template.max_vcpus) {
            let start = ("VCPUs-at-startup", vcpus);
            let maximum = ("VCPUs-max", most);
            // The number must never be above the maximum, not even between the two.
            let order =
                if most >= self.template.vcpus { [maximum, start] } else { [start, maximum] };
            for (field, number) in order {
                command = command.param(field, number.to_string());
            }
        }
        if let Some(image) = self.image {
            command = command.param(format!("other-config:{IMAGE}"), image.name.as_str());
        }
        if let Some(address) = self.address {
            command = command.param(format!("other-config:{ADDRESS}"), address.to_string());
        }
        self.boot_settings(host, command)
    }

    fn boot_settings(&self, host: &HostShared, mut command: XeCommand) -> XeCommand {
        let (domain_type, policy) = match self.kind {
            GuestKind::Pv => ("pv", ""),
            GuestKind::Pvh => ("pvh", ""),
            GuestKind::Hvm => ("hvm", "BIOS order"),
        };
        if host.product.has_domain_type() {
            if self.template.domain_type.as_deref() != Some(domain_type) {
                command = command.param("domain-type", domain_type);
            }
        } else {
            command = command.param("HVM-boot-policy", policy);
        }
        match &self.boot {
            Some(Boot::Kernel { kernel, ramdisk, command_line }) => {
                let line = self.command_line(host, command_line);
                command = command
                    .param("PV-kernel", kernel.as_str())
                    .param("PV-ramdisk", ramdisk.as_deref().unwrap_or(""))
                    .param("PV-args", line)
                    .param("PV-bootloader", "");
            }
            Some(Boot::Disk | Boot::Uefi) | None if self.kind != GuestKind::Hvm => {
                command = command.param("PV-bootloader", "pygrub");
                if !self.spec.extra_command_line.is_empty() {
                    command = command.param("PV-args", self.spec.extra_command_line.as_str());
                }
            }
            Some(Boot::Uefi) => command = command.param("HVM-boot-params:firmware", "uefi"),
            Some(Boot::Disk) | None => {}
        }
        command
    }

    fn command_line(&self, host: &HostShared, own: &str) -> String {
        let mut line = own.to_owned();
        if let (Some(address), Some(image)) = (self.address, self.image) {
            line.push(' ');
            line.push_str(&image.address_command_line.replace("{address}", &address.to_string()));
        }
        if !self.spec.extra_command_line.is_empty() {
            line.push(' ');
            line.push_str(&self.spec.extra_command_line);
        }
        let pool = host.entry.guest_network.as_ref().and_then(|network| network.pool.as_ref());
        if let Some(pool) = pool {
            line = line.replace("{gateway}", &pool.gateway.to_string());
            line = line.replace("{prefix}", &pool.prefix.to_string());
        }
        let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
        line.replace("{name}", &self.spec.name.chars().map(plain).collect::<String>())
    }
}

/// Sets the limits of memory of a halted VM: static minimum, dynamic range, static maximum.
pub(crate) fn memory_limits(limits: [Memory; 4]) -> XeCommand {
    let names = ["static-min", "dynamic-min", "dynamic-max", "static-max"];
    let command = XeCommand::new("vm-memory-limits-set");
    names
        .into_iter()
        .zip(limits)
        .fold(command, |command, (name, size)| command.param(name, size.as_bytes().to_string()))
}
