// Verifies badges with libraries that are not ours, all in one process: the W3C community's for Data Integrity proofs
// and status lists, jose for VC-JWT.
//
// Standard input: {now, documents: {address: JSON}, jobs: [{format: "json" | "jwt", badge}]}. Nothing is fetched: an
// address that is not among the documents is an error. Standard output: one answer a job, in their order:
// {verified, revoked, error}.

import {DataIntegrityProof} from '@digitalbazaar/data-integrity';
import {cryptosuite} from '@digitalbazaar/eddsa-rdfc-2022-cryptosuite';
import * as vc from '@digitalbazaar/vc';
import {checkStatus} from '@digitalbazaar/vc-bitstring-status-list';
import * as jose from 'jose';
import jsonld from 'jsonld';

const {now, documents, jobs} = JSON.parse(await text(process.stdin));
const suite = new DataIntegrityProof({cryptosuite});
const CLAIMS = ['iss', 'jti', 'sub', 'nbf', 'exp'];

const answers = [];
for(const job of jobs) {
  try {
    const credential = job.format === 'jwt' ? await fromToken(job.badge) : await signed(job.badge);
    answers.push({verified: true, revoked: await isRevoked(credential), error: ''});
  } catch(error) {
    answers.push({verified: false, revoked: null, error: told(error)});
  }
}
process.stdout.write(JSON.stringify(answers));

async function text(stream) {
  let all = '';
  for await (const piece of stream) {
    all += piece;
  }
  return all;
}

// A DID URL with a fragment leads to the key itself, one without to the whole document.
async function documentLoader(url) {
  const [address, fragment] = url.split('#');
  const whole = documents[url] ?? documents[address];
  if(whole === undefined) {
    throw new Error(`Nothing is fetched from ${url}.`);
  }
  let document = whole;
  if(fragment !== undefined && Array.isArray(whole.verificationMethod)) {
    document = {'@context': whole['@context'], ...whole.verificationMethod.find(({id}) => id === url)};
  }
  return {contextUrl: null, documentUrl: url, document};
}

async function signed(badge) {
  const result = await vc.verifyCredential({
    credential: badge, suite, documentLoader, now: new Date(now),
    // Asked below: the answer of this library to a revoked badge is "verified".
    checkStatus: async () => ({verified: true})
  });
  if(!result.verified) {
    throw result.error;
  }
  for(const endorsement of badge.credentialSubject.achievement?.endorsement ?? []) {
    await signed(endorsement);
  }
  return badge;
}

async function fromToken(token) {
  const header = jose.decodeProtectedHeader(token);
  if(Object.keys(header).sort().join() !== 'alg,kid,typ') {
    throw new Error(`The header holds ${Object.keys(header)}.`);
  }
  // The key has to be at its own address, as one key and no set, and in the set of its host as well.
  const jwk = documents[header.kid];
  const listed = documents[new URL('/.well-known/jwks.json', header.kid).href].keys;
  if(jwk?.kty !== 'RSA' || !listed.some(({kid, n}) => kid === header.kid && n === jwk.n)) {
    throw new Error(`${header.kid} is not published.`);
  }
  const {payload} = await jose.jwtVerify(token, await jose.importJWK(jwk), {
    algorithms: ['RS256'], currentDate: new Date(now), requiredClaims: CLAIMS.slice(0, 4)
  });
  const {issuer, id, credentialSubject, validFrom, validUntil} = payload;
  const repeated = [issuer.id, id, credentialSubject.id, seconds(validFrom), validUntil && seconds(validUntil)];
  CLAIMS.forEach((claim, index) => {
    if(payload[claim] !== repeated[index]) {
      throw new Error(`The claim ${claim} is ${payload[claim]}, the credential says ${repeated[index]}.`);
    }
  });
  const credential = Object.fromEntries(Object.entries(payload).filter(([name]) => !CLAIMS.includes(name)));
  // Refuses every term that no context defines.
  await jsonld.toRDF(credential, {documentLoader, safe: true});
  return credential;
}

async function isRevoked(credential) {
  if(credential.credentialStatus === undefined) {
    return false;
  }
  const result = await checkStatus({
    credential, documentLoader, suite, verifyBitstringStatusListCredential: true, verifyMatchingIssuers: true
  });
  if(!result.verified) {
    throw result.error;
  }
  return result.results.some(({status}) => status);
}

function seconds(moment) {
  return Math.floor(Date.parse(moment) / 1000);
}

function told(error) {
  const inner = error?.errors ?? error?.cause?.errors ?? [];
  return [error?.message, error?.cause?.message, ...inner.map(({message}) => message)].filter(Boolean).join(' | ');
}
