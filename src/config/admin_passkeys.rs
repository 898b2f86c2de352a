//! `[admin.passkeys]`: persons of the operator who sign in by passkeys, where no provider knows them.

use super::setting::section;

section! {
    /// Persons of the operator who sign in by passkeys, where no provider knows them.
    AdminPasskeys in "admin.passkeys." {
        /// The client of an operator's organization, with the scope `admin`, by whose limits persons with passkeys act; without it there are none.
        client: Option<String> = None, unit("id"), note("not together with `admin.oidc.issuer`; needs a `public_url` whose host is a name");
    }
}
