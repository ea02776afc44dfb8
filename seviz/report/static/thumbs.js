// Pictures of single images, where the report was made with them, and names that lead to their files.

const THUMBS = PAGE.thumbs ?? {};

/** Return a picture of an image, if the report has one. */
function thumbnail(position) {
  const thumb = THUMBS[position];
  if (thumb?.src === undefined) return null;
  const picture = document.createElement("img");
  Object.assign(picture, { src: `data:image/jpeg;base64,${thumb.src}`, alt: "", loading: "lazy", width: 48, height: 48 });
  return picture;
}

/** Return the name of an image; a link where its file is known. */
function imageName(position, text) {
  const href = THUMBS[position]?.href;
  const name = document.createElement(href === undefined ? "bdi" : "a");
  name.textContent = text;
  if (href !== undefined) name.href = href;
  return name;
}

/** Return an image as an item of a list: its picture, its name, and something that is said of it. */
function imageItem(position, name, said) {
  const item = document.createElement("li");
  const told = document.createElement("span");
  const small = document.createElement("small");
  small.textContent = said;
  told.append(imageName(position, name || `image ${position.toLocaleString("en")}`), small);
  item.append(...[thumbnail(position), told].filter((part) => part !== null));
  return item;
}
