// An MQTT broker for machines without mosquitto, with the same password file and the same rights:
// the service may use every topic, a robot only its own branch, uagv/v2/MANUFACTURER/SERIAL, by its user name.
// Usage: node broker.mjs HOST PORT PASSWORD_FILE SERVICE_USER. SIGHUP reads the password file again.

import { pbkdf2Sync, timingSafeEqual } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { Aedes } from 'aedes'

const MAX_PAYLOAD_BYTES = 4 * 1024 * 1024
const MAX_CONNECTIONS = 1000

const [host, port, passwordFile, serviceUser] = process.argv.slice(2)
let passwords = new Map()

function log(level, event, fields = {}) {
  process.stderr.write(JSON.stringify({ timestamp: new Date().toISOString(), level, event, ...fields }) + '\n')
}

// Lines as mosquitto_passwd writes them: NAME:$7$ITERATIONS$SALT$HASH, PBKDF2 with SHA-512.
function readPasswords() {
  const read = new Map()
  for (const line of readFileSync(passwordFile, 'utf8').split('\n')) {
    const match = /^([^:]+):\$7\$(\d+)\$([^$]+)\$([^$]+)$/.exec(line)
    if (match) {
      const [, name, iterations, salt, hash] = match
      read.set(name, {
        iterations: Number(iterations),
        salt: Buffer.from(salt, 'base64'),
        hash: Buffer.from(hash, 'base64')
      })
    }
  }
  passwords = read
}

function isRight(name, password) {
  const known = passwords.get(name)
  if (!known || !password) return false
  const given = pbkdf2Sync(password, known.salt, known.iterations, known.hash.length, 'sha512')
  return timingSafeEqual(given, known.hash)
}

// A subscription may not be wider than the branch: the levels of the branch are named, not wildcards.
function mayUse(client, topic) {
  if (client?.todokeUser === serviceUser) return true
  const levels = topic.split('/')
  return levels.length >= 4 && levels[0] === 'uagv' && levels[1] === 'v2' && levels[3] === client?.todokeUser
}

readPasswords()
const broker = await Aedes.createBroker({
  queueLimit: 1000,
  maxClientsIdLength: 128,
  authenticate: (client, name, password, done) => {
    if (!isRight(name, password)) {
      log('warning', 'sign-in refused', { client: client.id, user: name ?? '' })
      const refusal = new Error('bad user name or password')
      refusal.returnCode = 5
      return done(refusal, false)
    }
    client.todokeUser = name
    done(null, true)
  },
  authorizePublish: (client, packet, done) => {
    if (packet.payload.length > MAX_PAYLOAD_BYTES) return done(new Error('payload too large'))
    // Wills are checked here as well. Who publishes elsewhere is disconnected (mosquitto only drops the message).
    if (!mayUse(client, packet.topic)) {
      log('warning', 'publish refused', { user: client?.todokeUser, topic: packet.topic })
      return done(new Error('not allowed'))
    }
    done(null)
  },
  authorizeSubscribe: (client, subscription, done) =>
    done(null, mayUse(client, subscription.topic) ? subscription : null),
  authorizeForward: (client, packet) => (mayUse(client, packet.topic) ? packet : null)
})
broker.on('clientError', (client, error) => log('info', 'client error', { client: client?.id, error: error.message }))
broker.on('connectionError', (_, error) => log('info', 'connection error', { error: error.message }))

const server = createServer({ noDelay: true }, broker.handle)
server.maxConnections = MAX_CONNECTIONS
server.on('error', (error) => {
  log('error', 'cannot listen', { error: error.message })
  process.exit(1)
})
server.listen(Number(port), host, () => log('info', 'listening', { host, port: Number(port) }))

process.on('SIGHUP', () => {
  try {
    readPasswords()
  } catch (error) {
    log('error', 'password file not read; the old passwords stay', { error: error.message })
  }
})
for (const name of ['SIGTERM', 'SIGINT']) process.on(name, () => process.exit(0))
