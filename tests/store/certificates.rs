//! Temporary identification certificates: whose they are, revoked once, found by number whichever pepper keys them.

use lostcard::crypto::digest::LookupKey;
use lostcard::crypto::pepper::KeyVersions;
use lostcard::crypto::random;
use lostcard::domain::certificate::{Certificate, CertificatePurpose, CertificateState, NotRevocable, Term};
use lostcard::domain::ids::OrganizationId;
use lostcard::domain::instant::UnixMs;
use lostcard::store::aggregates::CERTIFICATES;
use lostcard::store::certificates::NewCertificate;
use lostcard::store::reports::SealedNumber;
use lostcard::store::rotation::Switch;
use lostcard::store::{Store, StoreError};

use crate::backend::Database;
use crate::records::{NOW_MS, TODAY, id, key, later, office, stored_organization, write};

const NOW_S: i64 = NOW_MS.seconds();

pub(crate) fn certificate(organization: OrganizationId, lookup_key: LookupKey, issued_s: i64) -> NewCertificate {
    NewCertificate {
        certificate: Certificate {
            id: random::id(UnixMs::from_seconds(issued_s)),
            purpose: CertificatePurpose::Rail,
            journey_on: Some(TODAY),
            issued_s,
            term: Term { starts_s: issued_s + 60, ends_s: issued_s + 3600 },
            revoked_at_ms: None,
        },
        organization,
        number: SealedNumber { lookup_key, key_version: 1, sealed_digest: random::bytes::<60>().to_vec() },
        office: office(),
    }
}

pub(crate) async fn store_certificate(store: &Store, new: &NewCertificate) {
    write(store, async |tx| {
        tx.take_turn().await.unwrap();
        tx.insert_certificate(new).await.unwrap();
    })
    .await;
}

pub(crate) async fn a_certificate_is_found_by_its_own_organization_alone(database: &Database) {
    let store = database.open().await;
    let (own, other) = (stored_organization(&store).await, stored_organization(&store).await);
    let new = certificate(own, key(), NOW_S);
    store_certificate(&store, &new).await;
    let certificate_id = new.certificate.id;
    let found = store.find_certificate(own, certificate_id).await.unwrap().unwrap();
    assert_eq!(
        (&found.certificate, found.lookup_key, &found.office),
        (&new.certificate, new.number.lookup_key, &new.office)
    );
    assert!(store.find_certificate(other, certificate_id).await.unwrap().is_none());
    let mut tx = store.begin().await.unwrap();
    assert!(tx.find_certificate(other, certificate_id).await.unwrap().is_none());
    assert_eq!(tx.find_certificate(own, certificate_id).await.unwrap().unwrap().certificate, new.certificate);
    drop(tx);
    // A verifier knows neither the organization nor yet whose it is.
    let (versions, found) = store.certificate_to_verify(certificate_id).await.unwrap();
    assert_eq!(versions, KeyVersions { current: 1, previous: None });
    let found = found.unwrap();
    assert_eq!((found.certificate, found.lookup_key), (new.certificate, new.number.lookup_key));
    assert!(store.certificate_to_verify(id()).await.unwrap().1.is_none());
}

pub(crate) async fn a_revoked_certificate_keeps_the_rest(database: &Database) {
    let store = database.open().await;
    let own = stored_organization(&store).await;
    let (new, bystander) = (certificate(own, key(), NOW_S), certificate(own, key(), NOW_S));
    store_certificate(&store, &new).await;
    store_certificate(&store, &bystander).await;
    let revoked = new.certificate.clone().revoke(later(7)).unwrap();
    write(&store, async |tx| tx.revoke_certificate(&revoked, &office()).await.unwrap()).await;
    let (_, found) = store.certificate_to_verify(revoked.id).await.unwrap();
    let found = found.unwrap().certificate;
    assert_eq!((&found, found.revoked_at_ms), (&revoked, Some(later(7))));
    assert_eq!(found.revoke(later(8)), Err(NotRevocable::Revoked));
    let other = store.find_certificate(own, bystander.certificate.id).await.unwrap().unwrap();
    assert_eq!(other.certificate.state(NOW_S), CertificateState::Active);
}

pub(crate) async fn certificates_of_a_number_are_listed_newest_first(database: &Database) {
    let store = database.open().await;
    let (own, other) = (stored_organization(&store).await, stored_organization(&store).await);
    let (of, nobody) = (key(), key());
    assert!(store.list_certificates(&[of]).await.unwrap().1.is_empty());
    let mut issued = Vec::new();
    for (n, organization) in [own, other, own].into_iter().enumerate() {
        let new = certificate(organization, of, NOW_S + i64::try_from(n).unwrap());
        store_certificate(&store, &new).await;
        issued.insert(0, new.certificate);
    }
    store_certificate(&store, &certificate(own, key(), NOW_S)).await;
    let (versions, found) = store.list_certificates(&[nobody, of]).await.unwrap();
    assert_eq!(versions, KeyVersions { current: 1, previous: None });
    assert_eq!(found.into_iter().map(|stored| stored.certificate).collect::<Vec<_>>(), issued);
}

pub(crate) async fn a_certificate_moves_to_the_new_pepper(database: &Database) {
    let store = database.open().await;
    let own = stored_organization(&store).await;
    let new = certificate(own, key(), NOW_S);
    store_certificate(&store, &new).await;
    assert_eq!(store.begin_rotation(1, 2, true).await.unwrap(), Switch::Done);
    let versions = KeyVersions { current: 2, previous: Some(1) };
    let mut tx = store.begin().await.unwrap();
    tx.take_turn().await.unwrap();
    let refused = tx.insert_certificate(&certificate(own, key(), NOW_S)).await.unwrap_err();
    assert!(matches!(refused, StoreError::OtherPepper), "{refused}");
    drop(tx);
    let (told, found) = store.certificate_to_verify(new.certificate.id).await.unwrap();
    assert_eq!((told, found.unwrap().lookup_key), (versions, new.number.lookup_key));
    let fresh = key();
    write(&store, async |tx| {
        let rows = [(new.certificate.id.into(), fresh)];
        assert_eq!(tx.rekey(&CERTIFICATES, &rows, versions).await.unwrap(), 1);
    })
    .await;
    assert_eq!(store.certificate_to_verify(new.certificate.id).await.unwrap().1.unwrap().lookup_key, fresh);
    assert!(store.list_certificates(&[new.number.lookup_key]).await.unwrap().1.is_empty());
    assert_eq!(store.list_certificates(&[fresh]).await.unwrap().1.len(), 1);
}
