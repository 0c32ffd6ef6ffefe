// Prints the clients of the page /docs, for a server and an entity, as JSON.
import { pathToFileURL } from 'node:url';

const [page, origin, module, name] = process.argv.slice(2);
const { clients } = await import(pathToFileURL(page));
console.log(JSON.stringify(clients(origin, { module, name })));
