/** Where `npm run build` leaves the app: a folder with index.html and assets/, for the API to serve at `/`. */
export const dashboardFolder = new URL("../dist/", import.meta.url);
