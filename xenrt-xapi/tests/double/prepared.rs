//! A sequence that prepares what xapi can: VLANs and addresses, storage, a template, a pool.

use std::sync::Arc;

use async_trait::async_trait;
use xenrt_core::Error;
use xenrt_core::lab::{LabFile, LabFileProvider};
use xenrt_core::model::HostAddressing;
use xenrt_core::remote::{LocalShell, SshShell};
use xenrt_core::sequencer::{CancelHandle, ExitCode, Plan, RunOptions, run};
use xenrt_core::testcase::{
    Claims, ErasedTestCase, Registry, Requirements, TestContext, TestDescriptor, TestResult,
};
use xenrt_xapi::XapiToolstack;
use xenrt_xapi::double::World;

use crate::world::Simulated;

/// What the test sees of what was prepared.
struct Prepared;

#[async_trait]
impl ErasedTestCase for Prepared {
    async fn prepare(&mut self, _: &TestContext) -> TestResult {
        Ok(())
    }

    async fn run(&mut self, cx: &TestContext) -> TestResult {
        let hosts = cx.hosts()?;
        let names = |host: usize| {
            let host = Arc::clone(&hosts[host]);
            async move {
                let members = host.pooling()?.members().await?;
                let names = members.into_iter().map(|own| (own.name, own.coordinator));
                Ok::<_, Error>(names.collect::<Vec<_>>())
            }
        };
        let pool = [("one".to_owned(), true), ("two".to_owned(), false)];
        assert_eq!(names(0).await?, pool);
        assert_eq!(names(1).await?, pool);
        for (host, address) in hosts.iter().zip(["10.2.0.11/24", "10.2.0.12/24"]) {
            let interfaces = host.interfaces()?;
            let stored = interfaces.of_network("Pool-wide network 1").await?;
            assert_eq!((stored.device.as_str(), stored.mtu), ("eth1", 9000));
            assert_eq!(stored.addressing, HostAddressing::Static(address.parse()?));
            let vlan = interfaces.of_network("tagged").await?;
            assert_eq!(vlan.device, "eth1.101");
            assert_eq!(vlan.addressing, HostAddressing::Dhcp);
            let storages = host.storages()?;
            let default = storages.default_storage().await?.map(|own| own.name);
            assert_eq!(default.as_deref(), Some("nfssr"));
            assert!(storages.find("nfssr").await?.own);
        }
        let templates = hosts[0].templates()?.list().await?;
        let own: Vec<_> = templates.iter().filter(|own| own.own).map(|own| &*own.name).collect();
        assert_eq!(own, ["base"]);
        assert!(hosts[0].guests().await?.iter().all(|guest| guest.name() != "base"));
        let made = cx.guest("made")?;
        let view = made.view().await?;
        // One of the image, one of the template's own, one of its own.
        assert_eq!((view.vcpus, view.disks.len()), (2, 3), "{view:?}");
        let on: Vec<_> = view.vifs.iter().map(|vif| vif.network.as_str()).collect();
        assert_eq!(on, ["xenbr0", "tagged"]);
        Ok(())
    }

    async fn cleanup(&mut self, _: &TestContext) -> TestResult {
        Ok(())
    }
}

fn described() -> TestDescriptor {
    TestDescriptor {
        id: "t.prepared",
        legacy: &[],
        tc: None,
        description: "",
        timeout: None,
        requires: Requirements { hosts: 2, abilities: &[] },
        claims: Claims::DEFAULT,
        blocker: false,
        tags: &[],
        type_name: "Prepared",
        file: file!(),
        line: line!(),
        make: || Box::new(Prepared),
    }
}

const SEQUENCE: &str = r#"<xenrt>
  <prepare>
    <pool>
      <host id="0"/><host id="1"/>
      <NETWORK>
        <PHYSICAL network="NPRI"><NIC/><MANAGEMENT/></PHYSICAL>
        <PHYSICAL network="NSEC" jumbo="yes"><NIC/><STORAGE mode="static"/>
          <VLAN network="VR01" name="tagged"><STORAGE/><VMS/></VLAN></PHYSICAL>
      </NETWORK>
      <storage type="nfs" name="nfssr" default="true"/>
      <template name="base"><distro>debian</distro><disk device="1" size="1"/></template>
      <vm name="made">
        <distro>base</distro><vcpus>2</vcpus><storage>nfssr</storage>
        <network device="0"/><network device="1" bridge="tagged"/>
        <disk device="2" size="1"/>
        <postinstall action="shutdown"/>
      </vm>
    </pool>
  </prepare>
  <testsequence><testcase id="t.prepared"/></testsequence>
</xenrt>
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_with_networks_storage_and_a_template_is_prepared_and_undone() {
    let mut first = World::small_as("one", "192.0.2.11");
    first.allow_login("root", "s3cret");
    let one = Simulated::start_host(&first, "one");
    let mut second = World::small_as("two", "192.0.2.12");
    second.know_peer("192.0.2.11", &one.double);
    let two = Simulated::start_host(&second, "two");
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    std::fs::write(&password, "s3cret\n").unwrap();
    let before = [&one, &two].map(|host| host.double.look(Clone::clone).unwrap());

    let entry = |host: &Simulated, name: &str, number: u32| {
        let wiring = format!(
            "vlans = {{ VR01 = 101 }}\n\
             nics = [{{ device = \"eth1\", network = \"NSEC\", address = \"10.2.0.{number}/24\" }}]\n\
             storage = [{{ source = {{ nfs = {{ server = \"192.0.2.9\", path = \"/x\" }} }} }}]\n"
        );
        let mut entry = host.lab(&wiring).hosts.remove(0);
        entry.name = name.to_owned();
        let file = password.display().to_string();
        entry.attributes.insert("xe_password_file".to_owned(), file);
        entry
    };
    let lab = LabFile { hosts: vec![entry(&one, "one", 11), entry(&two, "two", 12)] };
    // Guests of a double answer nobody: whoever logs in is on this machine. So the guest is shut down
    // before anybody compares what is in it.
    let toolstack = XapiToolstack::reaching_by(|target| match target.host.as_str() {
        "127.0.0.1" => Arc::new(SshShell::new(target)),
        _ => Arc::new(LocalShell::new()),
    });
    let provider = LabFileProvider::new(lab, "lab.toml", vec![Arc::new(toolstack)]);
    let sequence = xenrt_core::sequence::parse(SEQUENCE, "made.seq").unwrap();
    let plan = Plan::new(&sequence, &Registry::of(vec![described()]).unwrap()).unwrap();
    plan.carried_out().unwrap();
    let mut options = RunOptions::new(folder.path().join("run"));
    options.provider = Some(Arc::new(provider));
    let report = run(plan, options, CancelHandle::new()).await;
    assert_eq!(report.exit_code, ExitCode::AllPassed, "{:#?}", report.results);

    // All is as it was: identities of what was made anew do not count, what is there does.
    for (host, before) in [&one, &two].into_iter().zip(before) {
        let after = host.double.look(Clone::clone).unwrap();
        for class in ["host", "network", "sr", "vm", "pif", "vlan", "vdi", "pool"] {
            let seen = |world: &World| {
                let mut all: Vec<String> = world
                    .all(class)
                    .map(|object| {
                        let fields = ["uuid", "name-label", "default-SR", "MTU"];
                        fields.map(|field| object.text(field)).join(" ")
                    })
                    .collect();
                all.sort();
                all
            };
            assert_eq!(seen(&after), seen(&before), "{class}");
        }
        for pif in after.all("pif") {
            assert_eq!(pif.text("IP-configuration-mode"), "None", "{pif:?}");
        }
    }
}
