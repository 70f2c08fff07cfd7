(l(dS'sent_ids'
(lI0
aI1
aI2
asS'file_name'
S'COCO_train2014_000000581857_16.jpg'
sS'ann_id'
I1719310
sS'ref_id'
I0
sS'image_id'
I581857
sS'split'
S'train'
sS'sentences'
(l(dS'tokens'
(lS'the'
aS'lady'
aS'with'
aS'the'
aS'blue'
aS'shirt'
asS'raw'
S'THE LADY WITH THE BLUE SHIRT'
sS'sent_id'
I0
sS'sent'
S'the lady with the blue shirt'
sa(dS'tokens'
(lS'lady'
aS'w'
aS'back'
aS'to'
aS'us'
asS'raw'
Vlady w back to us 
sS'sent_id'
I1
sS'sent'
S'lady w back to us'
sa(dS'tokens'
(lS'blue'
aS'shirt'
asS'raw'
Vblue shirt
sS'sent_id'
I2
sS'sent'
S'blue shirt'
sasS'category_id'
I1
sa(dS'sent_ids'
(lI3
asS'file_name'
S'COCO_train2014_000000581857_17.jpg'
sS'ann_id'
I1719311
sS'ref_id'
I1
sS'image_id'
I581857
sS'split'
S'val'
sS'sentences'
(l(dS'tokens'
(lS'cup'
aS'in'
aS'front'
aS'of'
aS'the'
aS'cafe'
asS'raw'
S'cup in front of the caf\xc3\xa9'
sS'sent_id'
I3
sS'sent'
S'cup in front of the cafe'
sasS'category_id'
I44
sa(dS'sent_ids'
(lI4
aI5
asS'file_name'
S'COCO_train2014_000000000009_1.jpg'
sS'ann_id'
I2000
sS'ref_id'
I2
sS'image_id'
I9
sS'split'
S'testA'
sS'sentences'
(l(dS'tokens'
(lS'left'
aS'guy'
asS'raw'
S'left guy'
sS'sent_id'
I4
sS'sent'
S'left guy'
sa(dS'tokens'
(lS'naive'
aS'look'
asS'raw'
Vnaïve look
sS'sent_id'
I5
sS'sent'
S'naive look'
sasS'category_id'
I1
sa.