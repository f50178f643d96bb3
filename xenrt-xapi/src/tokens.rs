//! Names that only their maker knows, for objects in the making: where the connection breaks, they
//! tell whether an object was made, so that it is neither lost nor made twice.

use uuid::Uuid;

use crate::parse;
use crate::xe::{self, Xe, XeCommand};

/// The key in `other-config` of a VM for what only its creator knew.
pub(crate) const TOKEN: &str = "xenrt-token";

/// What the name of a VM in the making begins with; a UUID follows.
const IN_THE_MAKING: &str = "xenrt-";

/// A name that nobody else has.
pub(crate) fn new_token() -> String {
    format!("{IN_THE_MAKING}{}", Uuid::new_v4())
}

/// Whether this is the name of a VM that is not yet what it will be.
pub(crate) fn is_token(name: &str) -> bool {
    name.strip_prefix(IN_THE_MAKING)
        .is_some_and(|rest| rest.len() == 36 && rest.parse::<Uuid>().is_ok())
}

/// The VM that was made by the one who knows `token`, if it was.
pub(crate) async fn made_as(xe: &Xe, token: &str) -> xe::Result<Option<Uuid>> {
    // Until it is complete, the token is its name.
    let named = XeCommand::new("vm-list").param("name-label", token).minimal();
    let key = format!("other-config:{TOKEN}");
    let marked = XeCommand::new("vm-list").param(key, token).minimal();
    for listed in xe.run_all(&[named, marked]).await? {
        if let Some(uuid) = parse::minimal(&listed)?.first() {
            let wrong = |_| parse::not_understood("xe --minimal", "a UUID", uuid);
            return Ok(Some(uuid.parse().map_err(wrong)?));
        }
    }
    Ok(None)
}
