//! What is found out before storage is made, and storage that comes back.

use xenrt_core::ToolstackErrorKind;
use xenrt_core::model::Memory;
use xenrt_xapi::double::{Effect, Rule, World};
use xenrt_xapi::{StorageSpec, XapiHost};

use crate::world::Simulated;

#[tokio::test]
async fn an_iscsi_portal_tells_its_targets_and_their_luns() {
    let (portal, gib) = ("192.0.2.9", 1 << 30);
    let mut world = World::small();
    world.add_iscsi_lun(portal, "iqn.2026-01.org.example:a", 10 * gib, "36001a");
    world.add_iscsi_lun(portal, "iqn.2026-01.org.example:a", 20 * gib, "36001b");
    world.add_iscsi_lun(portal, "iqn.2026-01.org.example:b", gib, "36001c");
    let simulated = Simulated::start(&world);
    let host = simulated.connect().await;
    let targets = host.iscsi_targets(portal).await.unwrap();
    let names: Vec<&str> = targets.iter().map(|target| target.iqn.as_str()).collect();
    assert_eq!(names, ["iqn.2026-01.org.example:a", "iqn.2026-01.org.example:b"]);
    assert_eq!((targets[0].address.as_str(), targets[0].port), (portal, 3260));
    let luns = host.iscsi_luns(portal, names[0]).await.unwrap();
    let seen: Vec<_> = luns.iter().map(|lun| (lun.number, lun.size, &*lun.scsi_id)).collect();
    let sizes = [10, 20].map(|size| Some(Memory::gib(size)));
    assert_eq!(seen, [(0, sizes[0], "36001a"), (1, sizes[1], "36001b")]);
    assert!(host.iscsi_luns(portal, "iqn.2026-01.org.example:none").await.unwrap().is_empty());
    // What was found is enough to make one of it.
    let spec = StorageSpec::iscsi("lun", portal, names[0], &luns[1].scsi_id);
    assert!(host.probe_storage(&spec).await.unwrap().contains("SRlist"));
    let made = host.create_storage(&spec).await.unwrap();
    host.forget_storage(made).await.unwrap();
    let nobody = host.iscsi_targets("192.0.2.77").await.unwrap_err().to_string();
    assert!(nobody.contains("SR_BACKEND_FAILURE_141"), "{nobody}");
}

#[tokio::test]
async fn storage_that_was_forgotten_is_attached_again() {
    let mut world = World::small();
    world.add_host("other", "192.0.2.11");
    let simulated = Simulated::start(&world);
    let host = XapiHost::of(simulated.connect_as("xapi-sim").await.as_ref()).unwrap();
    let spec = StorageSpec::smb("share", "//192.0.2.5/x", "me", "s3cret");
    let sr = host.create_storage(&spec).await.unwrap();
    let known = host.attach_storage(sr, &spec).await.unwrap_err();
    assert_eq!(known.toolstack_kind(), Some(ToolstackErrorKind::AlreadyExists), "{known}");
    host.forget_storage(sr).await.unwrap();
    let plugged = || {
        let seen = simulated.double.look(|world| {
            let own = world.all("pbd").filter(|pbd| pbd.text("sr-uuid") == sr.to_string());
            own.map(|pbd| (pbd.text("currently-attached"), pbd.text("device-config"))).collect()
        });
        let seen: Vec<(String, String)> = seen.unwrap();
        seen
    };
    // The driver refuses on the second host: nothing of it is left.
    let fails = Effect::Fails("SR_BACKEND_FAILURE_111".into(), vec!["".into(), "no".into()]);
    simulated.double.rule(Rule::once("pbd-plug", fails).after(1)).unwrap();
    let refused = host.attach_storage(sr, &spec).await.unwrap_err().to_string();
    assert!(refused.contains("SR_BACKEND_FAILURE_111") && plugged().is_empty(), "{refused}");
    assert!(host.storages().await.unwrap().iter().all(|own| own.uuid != sr));
    // The connection breaks at each step.
    for command in ["sr-introduce", "pbd-create", "pbd-plug"] {
        for effect in [Effect::LostBefore, Effect::LostAfter] {
            simulated.double.rule(Rule::once(command, effect)).unwrap();
        }
    }
    host.attach_storage(sr, &spec).await.unwrap();
    assert!(simulated.double.rules_are_used_up().unwrap());
    let made = host.storages().await.unwrap();
    let own = made.iter().find(|own| own.uuid == sr).unwrap();
    assert_eq!((own.driver.as_str(), own.shared, own.name.as_str()), ("smb", true, "share"));
    let pbds = plugged();
    assert_eq!(pbds.len(), 2, "{pbds:?}");
    let whole = |(attached, config): &(String, String)| {
        attached == "true" && config.contains("password: s3cret")
    };
    assert!(pbds.iter().all(whole), "{pbds:?}");
    assert!(!simulated.double.calls().unwrap().join("\n").contains("s3cret"));
    host.forget_storage(sr).await.unwrap();
}
