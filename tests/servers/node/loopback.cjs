// Loaded before an emulator: it listens on loopback only, on ports that the system picks. Which one it got instead of
// the port REPORT it tells on the pipe PORT_FD. It ends when its standard input does, so that it cannot outlive the
// tests.
const fs = require('node:fs')
const net = require('node:net')

const listen = net.Server.prototype.listen
net.Server.prototype.listen = function (...given) {
  const wanted = typeof given[0] === 'object' ? given[0].port : given[0]
  if (wanted === Number(process.env.REPORT)) {
    this.once('listening', () => fs.writeSync(Number(process.env.PORT_FD), `${this.address().port}\n`))
  }
  const callback = given.find((value) => typeof value === 'function')
  return listen.call(this, { host: '127.0.0.1', port: 0 }, callback)
}

process.stdin.resume()
process.stdin.on('end', () => process.exit())
