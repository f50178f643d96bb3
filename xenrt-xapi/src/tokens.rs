//! Names that only their maker knows, for objects in the making: where the connection breaks, they
//! tell whether an object was made, so that it is neither lost nor made twice.

use uuid::Uuid;

use crate::xe::XeCommand;

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

/// Lists that show the VM which was made by the one who knows `token`, and no other.
pub(crate) fn made_as(token: &str) -> [XeCommand; 2] {
    // Until it is complete, the token is its name.
    let named = XeCommand::new("vm-list").param("name-label", token).minimal();
    let key = format!("other-config:{TOKEN}");
    [named, XeCommand::new("vm-list").param(key, token).minimal()]
}
