//! Bodies of administration to domain types, and what operators are shown of organizations, clients and requests. Also read by who
//! approves: what was asked for is kept as it was sent.

use serde::Deserialize;
use utoipa::ToSchema;

use crate::access::certificates::{parse_dns_name, parse_subject};
use crate::access::jwks::check_client_keys;
use crate::domain::authority::{LifeState, OfficePrefix, Offices, Setting};
use crate::domain::client::{Bound, OrganizationKind, OrganizationName, Rate, RegionCode, Scope, Scopes};
use crate::domain::label::holds_id_number;
use crate::domain::numbers::{Digests, Guests};
use crate::http::contract::fields::{Fields, Foreign, present};
use crate::http::contract::problem::Problem;
use crate::http::contract::schema::{
    BoundName, DigestsName, LifeStateName, NewDigestsName, OrganizationKindName, ScopeName,
};
use crate::service::administration::asked::{ClientChange, NewClient, NewOrganization, OrganizationChange};
use crate::store::clients::Proof;
use jiff::civil::Date;

/// A new organization. With the kind `registrar` another operator must approve it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewOrganizationRequest {
    /// What it is called.
    #[schema(example = "Harbour Hotels", min_length = 1, max_length = 100)]
    name: String,
    #[schema(value_type = OrganizationKindName)]
    kind: String,
    /// Its region: six digits of GB/T 2260.
    #[schema(example = "110105", pattern = "^[0-9]{6}$", min_length = 6, max_length = 6)]
    region: String,
    /// The limit that its clients share, as requests/seconds; the service's default if absent.
    #[serde(default, deserialize_with = "present")]
    #[schema(
        nullable = false,
        example = "6000/60s",
        pattern = "^[1-9][0-9]*/[1-9][0-9]*s$",
        min_length = 4,
        max_length = 24
    )]
    rate: Option<String>,
    /// How the codes of its offices begin; those of its region if absent.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, max_items = 100)]
    offices: Option<Vec<String>>,
    /// Whether it also ends reports that other organizations have filed; false if absent.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    any_office: Option<bool>,
}

/// What is to change of an organization; what is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OrganizationPatch {
    /// What it is called.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, example = "Harbour Hotels", min_length = 1, max_length = 100)]
    name: Option<String>,
    /// The limit that its clients share, as requests/seconds; `default` for the service's.
    #[serde(default, deserialize_with = "present")]
    #[schema(
        nullable = false,
        example = "6000/60s",
        pattern = "^(default|[1-9][0-9]*/[1-9][0-9]*s)$",
        max_length = 24
    )]
    rate: Option<String>,
    /// How the codes of its offices begin; an empty list for those of its region.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, max_items = 100)]
    offices: Option<Vec<String>>,
    /// Whether it also ends reports that other organizations have filed.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    any_office: Option<bool>,
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, value_type = Option<LifeStateName>)]
    state: Option<String>,
}

/// A new client. With the scope `citizen` another operator must approve it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewClientRequest {
    /// The organization that owns it.
    #[schema(format = Uuid)]
    organization_id: String,
    /// What it is called.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, example = "front desk", min_length = 1, max_length = 100)]
    name: Option<String>,
    /// What it may do.
    #[schema(value_type = Vec<ScopeName>, min_items = 1, max_items = 6)]
    scopes: Vec<String>,
    /// Its limit, as requests/seconds; the service's default if absent.
    #[serde(default, deserialize_with = "present")]
    #[schema(
        nullable = false,
        example = "600/60s",
        pattern = "^[1-9][0-9]*/[1-9][0-9]*s$",
        min_length = 4,
        max_length = 24
    )]
    rate: Option<String>,
    /// How many guests it has on a day, or `none`: nobody counts. The service's default if absent.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, example = "250/1d", pattern = "^(none|[1-9][0-9]*/1d)$", max_length = 12)]
    numbers: Option<String>,
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, value_type = Option<NewDigestsName>)]
    digests: Option<String>,
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, value_type = Option<BoundName>)]
    bound: Option<String>,
    /// Its public keys as JWK (RFC 7517), one or two; a secret is made where there are none.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, value_type = Option<Vec<Object>>, min_items = 1, max_items = 2)]
    keys: Option<Vec<Foreign>>,
    /// The subject of its certificate by an authority of `tls.client_ca` (RFC 4514), instead of keys or a secret.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, example = "CN=front-desk,O=Harbour Hotels,C=CN", min_length = 1, max_length = 1024)]
    tls_subject_dn: Option<String>,
    /// A DNS name of its certificate by an authority of `tls.client_ca`, instead of keys or a secret.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, example = "desk.hotel.example", min_length = 1, max_length = 253)]
    tls_san_dns: Option<String>,
}

/// What is to change of a client; what is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientPatch {
    /// What it is called.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, example = "front desk", min_length = 1, max_length = 100)]
    name: Option<String>,
    /// What it may do from now on, and nothing else. With `citizen`, where it had it not, another operator must approve it.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, value_type = Option<Vec<ScopeName>>, min_items = 1, max_items = 6)]
    scopes: Option<Vec<String>>,
    /// Its limit, as requests/seconds; `default` for the service's.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, example = "600/60s", pattern = "^(default|[1-9][0-9]*/[1-9][0-9]*s)$", max_length = 24)]
    rate: Option<String>,
    /// How many guests it has on a day, or `none`: nobody counts; `default` for the service's.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, example = "250/1d", pattern = "^(default|none|[1-9][0-9]*/1d)$", max_length = 12)]
    numbers: Option<String>,
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, value_type = Option<DigestsName>)]
    digests: Option<String>,
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, value_type = Option<BoundName>)]
    bound: Option<String>,
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, value_type = Option<LifeStateName>)]
    state: Option<String>,
}

const RATE: &str = "a rate is written requests/seconds: 600/60s";
pub(super) const NUMBERS: &str = "guests are written number/1d, up to 10000000/1d, or none: 250/1d";

impl NewOrganizationRequest {
    pub(super) fn read(&self, today: Date) -> Result<NewOrganization, Problem> {
        let mut fields = Fields::default();
        let name = read_name(&mut fields, Some(&self.name), today);
        let kinds = "certifying, registrar, portal, auditor, operator";
        let kind = fields.word("/kind", &self.kind, OrganizationKind::parse, kinds);
        let detail = "six digits of GB/T 2260 with a known province";
        let region = fields.take("/region", RegionCode::parse(&self.region), "malformed_region", detail);
        let rate = read_rate(&mut fields, self.rate.as_deref());
        let prefixes = read_prefixes(&mut fields, self.offices.as_deref(), today).unwrap_or_default();
        let offices = Offices::new(prefixes, self.any_office.unwrap_or_default());
        let new = name.zip(kind).zip(region).zip(offices).map(|(((name, kind), region), offices)| NewOrganization {
            name,
            kind,
            region,
            rate,
            offices,
        });
        fields.finish(new)
    }
}

impl OrganizationPatch {
    pub(super) fn read(&self, today: Date) -> Result<OrganizationChange, Problem> {
        let mut fields = Fields::default();
        let change = OrganizationChange {
            name: read_name(&mut fields, self.name.as_deref(), today),
            rate: read_setting(&mut fields, "/rate", self.rate.as_deref(), Rate::parse, ("malformed_rate", RATE)),
            offices: read_prefixes(&mut fields, self.offices.as_deref(), today),
            any_office: self.any_office,
            state: read_state(&mut fields, self.state.as_deref()),
        };
        fields.finish(Some(change))
    }
}

impl NewClientRequest {
    pub(super) fn read(&self, today: Date) -> Result<NewClient, Problem> {
        let mut fields = Fields::default();
        let organization = fields.id("/organization_id", Some(&self.organization_id));
        let name = read_name(&mut fields, self.name.as_deref(), today);
        let scopes = read_scopes(&mut fields, &self.scopes);
        let rate = read_rate(&mut fields, self.rate.as_deref());
        let numbers = self.numbers.as_deref();
        let numbers =
            numbers.and_then(|text| fields.take("/numbers", Guests::parse(text), "malformed_numbers", NUMBERS));
        let digests = read_digests(&mut fields, self.digests.as_deref()).unwrap_or(Digests::Taken);
        let proofs = self.read_proofs(&mut fields);
        let is_by_certificate = self.tls_subject_dn.is_some() || self.tls_san_dns.is_some();
        let bound = read_bound(&mut fields, self.bound.as_deref());
        if is_by_certificate && bound == Some(Bound::None) {
            fields.refuse("/bound", "unknown_value", "a client that is known by its certificate is bound to it: mtls");
        }
        let bound = bound.unwrap_or(if is_by_certificate { Bound::Mtls } else { Bound::None });
        let new = organization.zip(scopes).zip(proofs).map(|((organization, scopes), proofs)| NewClient {
            organization,
            name,
            scopes,
            rate,
            numbers,
            digests,
            bound,
            proofs,
        });
        fields.finish(new)
    }

    /// What it proves itself by, where it is no secret: keys, or what its certificate must be for.
    fn read_proofs(&self, fields: &mut Fields) -> Option<Vec<Proof>> {
        let detail = "a subject is written as in RFC 4514: CN=desk,O=Hotel,C=CN";
        let dns_detail = "a DNS name has letters, digits, hyphens and dots";
        match (self.keys.as_deref(), self.tls_subject_dn.as_deref(), self.tls_san_dns.as_deref()) {
            (None, None, None) => Some(Vec::new()),
            (Some(keys), None, None) => Some(read_keys(fields, keys)?.into_iter().map(Proof::Key).collect()),
            (None, Some(subject), None) => {
                let subject = fields.take("/tls_subject_dn", parse_subject(subject), "malformed_text", detail)?;
                Some(vec![Proof::Subject(subject)])
            }
            (None, None, Some(name)) => {
                let name = fields.take("/tls_san_dns", parse_dns_name(name), "malformed_text", dns_detail)?;
                Some(vec![Proof::DnsName(name)])
            }
            _ => {
                fields.refuse("/keys", "malformed_keys", "a client has keys, tls_subject_dn or tls_san_dns");
                None
            }
        }
    }
}

impl ClientPatch {
    pub(super) fn read(&self, today: Date) -> Result<ClientChange, Problem> {
        let mut fields = Fields::default();
        let numbers = ("malformed_numbers", NUMBERS);
        let change = ClientChange {
            name: read_name(&mut fields, self.name.as_deref(), today),
            scopes: self.scopes.as_deref().and_then(|scopes| read_scopes(&mut fields, scopes)),
            rate: read_setting(&mut fields, "/rate", self.rate.as_deref(), Rate::parse, ("malformed_rate", RATE)),
            numbers: read_setting(&mut fields, "/numbers", self.numbers.as_deref(), Guests::parse, numbers),
            digests: read_digests(&mut fields, self.digests.as_deref()),
            bound: read_bound(&mut fields, self.bound.as_deref()),
            state: read_state(&mut fields, self.state.as_deref()),
        };
        fields.finish(Some(change))
    }
}

/// One or two public keys, each as text.
pub(super) fn read_keys(fields: &mut Fields, keys: &[Foreign]) -> Option<Vec<String>> {
    if !(1..=2).contains(&keys.len()) {
        fields.refuse("/keys", "malformed_keys", "a client has one or two keys");
        return None;
    }
    // None of these errors repeats anything of a key.
    let keys: Vec<_> = keys.iter().map(|key| key.0.clone()).collect();
    check_client_keys(&keys).map_err(|error| fields.refuse("/keys", "malformed_keys", error.to_string())).ok()
}

pub(super) fn read_name(fields: &mut Fields, text: Option<&str>, today: Date) -> Option<OrganizationName> {
    let text = text?;
    let name = OrganizationName::parse(text).filter(|_| !holds_id_number(text, today));
    let detail = "1 to 100 visible characters, without an identity number";
    fields.take("/name", name, "malformed_text", detail)
}

fn read_rate(fields: &mut Fields, text: Option<&str>) -> Option<Rate> {
    text.and_then(|text| fields.take("/rate", Rate::parse(text), "malformed_rate", RATE))
}

fn read_setting<T>(
    fields: &mut Fields,
    pointer: &'static str,
    text: Option<&str>,
    parse: impl FnOnce(&str) -> Option<T>,
    (code, detail): (&'static str, &'static str),
) -> Setting<T> {
    let Some(text) = text else { return Setting::Kept };
    fields.take(pointer, Setting::parse(text, parse), code, detail).unwrap_or_default()
}

fn read_prefixes(fields: &mut Fields, texts: Option<&[String]>, today: Date) -> Option<Vec<OfficePrefix>> {
    let texts = texts?;
    if texts.len() > Offices::PREFIXES_MAX {
        fields.refuse("/offices", "out_of_range", "an organization has at most 100 prefixes");
        return None;
    }
    let parse = |text: &String| OfficePrefix::parse(text).filter(|_| !holds_id_number(text, today));
    let detail = "each is 1 to 32 letters, digits and hyphens, and no identity number";
    fields.take("/offices", texts.iter().map(parse).collect(), "malformed_office", detail)
}

pub(super) fn read_scopes(fields: &mut Fields, words: &[String]) -> Option<Scopes> {
    let scopes: Option<Scopes> = words.iter().map(|word| Scope::parse(word)).collect();
    let detail = "expected at least one of: checks, registry, citizen, audit, admin, blind";
    fields.take("/scopes", scopes.filter(|scopes| !scopes.is_empty()), "unknown_value", detail)
}

fn read_digests(fields: &mut Fields, word: Option<&str>) -> Option<Digests> {
    word.and_then(|word| fields.word("/digests", word, Digests::parse, "taken, refused"))
}

fn read_bound(fields: &mut Fields, word: Option<&str>) -> Option<Bound> {
    word.and_then(|word| fields.word("/bound", word, Bound::parse, "none, mtls, dpop"))
}

pub(super) fn read_state(fields: &mut Fields, word: Option<&str>) -> Option<LifeState> {
    word.and_then(|word| fields.word("/state", word, LifeState::parse, "active, suspended, ended"))
}

/// An object without a member: for what needs no more than its path.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({}))]
pub struct NoMembers {}
