//! `[admin.oidc]`: the provider that knows the persons of the operator.

use std::path::PathBuf;

use super::setting::section;

section! {
    /// The provider that knows the persons of the operator.
    AdminOidc in "admin.oidc." {
        /// The `iss` of the tokens of persons who administer; without it nobody does but clients.
        issuer: Option<String> = None, unit("URL"), note("OpenID Connect; its access tokens or ID tokens are taken at `/v1/admin`");
        /// The `aud` that they carry for this service.
        audience: Option<String> = None, unit("text"), note("needed with `admin.oidc.issuer`");
        /// Its JWK Set, as a file.
        jwks_file: Option<PathBuf> = None, unit("file"), note("or `admin.oidc.jwks_url`");
        /// Its JWK Set, by HTTPS.
        jwks_url: Option<String> = None, unit("URL"), note("or `admin.oidc.jwks_file`");
        /// The client of an operator's organization, with the scope `admin`, by whose limits persons act.
        client: Option<String> = None, unit("id"), note("needed with `admin.oidc.issuer`; it needs no secret");
        /// Where tokens say what a person is called.
        name_claim: String = "preferred_username".to_owned(), unit("claim");
        /// Where tokens say which groups a person is in.
        groups_claim: String = "groups".to_owned(), unit("claim"), note("a list, or a text with spaces");
        /// Groups whose persons may look.
        viewers: Vec<String> = Vec::new(), unit("list of groups");
        /// Groups whose persons may make and change.
        operators: Vec<String> = Vec::new(), unit("list of groups");
        /// Groups whose persons approve what another person has asked for.
        security: Vec<String> = Vec::new(), unit("list of groups");
        /// Whether plain JWTs are taken, as ID tokens are.
        plain_jwt: bool = false, note("`false`: only access tokens of RFC 9068");
        /// The console's own client at the provider: public, without a secret. Without it the console takes clients' secrets alone.
        console_client: Option<String> = None, unit("text"), note("code flow with PKCE; its redirect address is `/console`");
        /// What the console asks the provider for.
        console_scope: String = "openid profile".to_owned(), unit("scopes"), note("with `openid`");
        /// What the console names as `resource` (RFC 8707), where the provider needs it to make an access token for this service.
        console_resource: Option<String> = None, unit("URL");
    }
}
