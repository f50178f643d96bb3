//! The database of the pool as a file of dom0.

use super::answer::{Answer, Failure};
use super::program::Given;
use super::request::Request;
use super::world::World;

pub(super) fn answer(world: &mut World, request: &Request) -> Given {
    let act: fn(&mut World, &Request) -> Result<Answer, Failure> = match request.name.as_str() {
        "pool-dump-database" => dump,
        "pool-restore-database" => restore,
        _ => return None,
    };
    Some(request.require_all().and_then(|()| act(world, request)))
}

fn dump(world: &mut World, request: &Request) -> Result<Answer, Failure> {
    let file = request.required("file-name")?;
    let failed = |text: String| Failure::Text(format!("Operation failed. Error: {text}\n"));
    if std::path::Path::new(file).exists() {
        return Err(failed(format!("Sys_error(\"{file}: File exists\")")));
    }
    let bytes =
        serde_json::to_vec(&world.objects).map_err(|error| Failure::internal(error.to_string()))?;
    std::fs::write(file, bytes)
        .map_err(|error| failed(format!("Sys_error(\"{file}: {error}\")")))?;
    Ok(Answer::nothing())
}

/// What there was then is what there is, unless it is a rehearsal.
fn restore(world: &mut World, request: &Request) -> Result<Answer, Failure> {
    let file = request.required("file-name")?;
    let missing =
        |_| Failure::Text(format!("Operation failed. Error: file '{file}' does not exist\n"));
    let bytes = std::fs::read(file).map_err(missing)?;
    let objects = serde_json::from_slice(&bytes)
        .map_err(|error| Failure::internal(format!("{file} is no database: {error}")))?;
    if !request.flag("dry-run")? {
        world.objects = objects;
    }
    Ok(Answer::nothing())
}
