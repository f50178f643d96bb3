use xenrt::prelude::*;

/// Found by an exploration with seed 7: g0 Delete failed: it is still there
#[testcase(id = "explored.seed_7", timeout = "1h", requires(hosts = 2, disk_hotplug, live_migration, memory_hotplug, rename_running, vcpu_hotplug, vif_hotplug))]
struct Explored7;

#[async_trait]
impl TestCase for Explored7 {
    async fn prepare(_: &TestContext) -> Result<Self> {
        Ok(Self)
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let hosts = [cx.host("0")?, cx.host("1")?];
        let spec = GuestSpec::new("xrte-0").image("tiny").kind(GuestKind::Pv);
        let spec = spec.max_vcpus(2).vif(VifSpec::on_default());
        let memory = hosts[0].entry().image_for("tiny")?.memory.as_mib();
        let spec = spec.memory(Memory::mib(memory + 64));
        let spec = spec.max_memory(Memory::mib(memory + 128));
        let g0 = hosts[0].create_guest(&spec).await?;
        g0.check().await?;
        g0.start().await?;
        g0.wait_until_reachable().await?;
        g0.check().await?;
        g0.attach_vif(VifSpec::on_default()).await?;
        g0.check().await?;
        let disk4 = g0.attach_disk(DiskSpec::new(Memory::mib(8))).await?;
        g0.check().await?;
        g0.detach_disk(&disk4.device).await?;
        g0.check().await?;
        let memory = hosts[0].entry().image_for("tiny")?.memory.as_mib();
        g0.set_memory(Memory::mib(memory + 128)).await?;
        g0.check().await?;
        g0.set_vcpus(2).await?;
        g0.check().await?;
        g0.migrate(&hosts[1]).await?;
        g0.check().await?;
        g0.rename("xrte-0-1").await?;
        g0.check().await?;
        g0.reboot(ShutdownMode::Clean).await?;
        g0.check().await?;
        // Here the connection to the host was lost and came back.
        g0.shutdown(ShutdownMode::Hard).await?;
        g0.check().await?;
        g0.delete().await?;
        Ok(())
    }
}

fn main() {}
