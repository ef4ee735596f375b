// SPDX-License-Identifier: MIT OR Apache-2.0

//! A certificate for servers on this machine, and clients that trust it and no other.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};

/// A certificate that signs itself, made anew in each run.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The certificate, PEM
    pub certificate: PathBuf,
    /// Its key, PEM; readable by every user, as servers run as some other one
    pub key: PathBuf,
    /// Both in one file, certificate first
    pub both: PathBuf,
    der: CertificateDer<'static>,
}

impl Identity {
    /// Makes one for `localhost` and 127.0.0.1, and writes it to a directory.
    ///
    /// # Errors
    ///
    /// The directory cannot be written.
    pub fn make(dir: &Path) -> Result<Self> {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let made =
            rcgen::generate_simple_self_signed(names).context("cannot make a certificate")?;
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let both = format!("{certificate}{key}");
        let write = |name: &str, text: String| -> Result<PathBuf> {
            let file = dir.join(name);
            fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
            Ok(file)
        };
        Ok(Self {
            der: made.cert.der().clone(),
            certificate: write("certificate.pem", certificate)?,
            key: write("key.pem", key)?,
            both: write("both.pem", both)?,
        })
    }

    /// A client that speaks one version of TLS.
    ///
    /// # Errors
    ///
    /// The certificate is not one.
    pub fn client(&self, version: &'static SupportedProtocolVersion) -> Result<Arc<ClientConfig>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone())?;
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[version])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Arc::new(config))
    }
}
